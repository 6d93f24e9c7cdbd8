"""How fast the built-in ops are beside those of other libraries, as a table in Markdown.

    pip install pillow numpy opencv-python-headless albumentations torch torchvision timm
    cargo xtask tables

builds the program, runs this script as

    python3 ops-builtin/benches/compare.py target/release/faa-runtime [SECONDS] [--write FILE]

and so replaces this processor's section of ops-builtin/BENCHMARKS.md. Without --write the section is only
printed.

Everything runs on one thread, in one run, op by op, the libraries and ours in turn. All do the same
work: 64 different smooth images of low contrast (levels about 30 to 210, so that no op leaves them
as they are), one after the other, each from a ready image in the library's own form (a PIL image, a
uint8 tensor, an array) to a new one; no decoding and no conversion is counted. Identity is a copy,
the limit of what reads and writes every pixel. A rate is the best of three rounds of a third of
SECONDS (0.3 by default). A library that is not installed is omitted, but Pillow and numpy
are required: they create the images.
`faa-runtime bench` makes images of the same kind and has the same values as defaults.
"""
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import numpy
import PIL.Image
import PIL.ImageDraw
import PIL.ImageEnhance
import PIL.ImageOps

SIZES = (32, 224)
ROUNDS = 3
COLUMNS = ("Pillow", "torchvision", "albumentations")


def pictures(size):
    levels = numpy.random.default_rng(0).integers(
        40, 200, (64, size // 4 + 1, size // 4 + 1, 3), dtype=numpy.uint8
    )
    bicubic = PIL.Image.Resampling.BICUBIC
    return [PIL.Image.fromarray(picture).resize((size, size), bicubic) for picture in levels]


def rate(transform, images, seconds):
    for image in images[:4]:
        transform(image)
    best = 0.0
    for _ in range(ROUNDS):
        count = 0
        start = now = time.perf_counter()
        while now < start + seconds / ROUNDS:
            for image in images:
                transform(image)
            count += len(images)
            now = time.perf_counter()
        best = max(best, count / (now - start))
    return best


def pillow(size):
    affine = PIL.Image.Transform.AFFINE
    enhance = PIL.ImageEnhance
    partner = pictures(size)[0]

    def cutout(image):
        image = image.copy()
        end = 3 + 0.2 * size
        PIL.ImageDraw.Draw(image).rectangle((3, 3, end, end), (125, 123, 114))
        return image

    def move(*matrix):
        return lambda image: image.transform(image.size, affine, matrix)

    return {
        "Identity": lambda image: image.copy(),
        "ShearX": move(1, 0.2, 0, 0, 1, 0),
        "ShearY": move(1, 0, 0, 0.2, 1, 0),
        "TranslateX": move(1, 0, 0.3 * size, 0, 1, 0),
        "TranslateY": move(1, 0, 0, 0, 1, 0.3 * size),
        "Rotate": lambda image: image.rotate(20),
        "AutoContrast": PIL.ImageOps.autocontrast,
        "Invert": PIL.ImageOps.invert,
        "Equalize": PIL.ImageOps.equalize,
        "Solarize": lambda image: PIL.ImageOps.solarize(image, 128),
        "Posterize": lambda image: PIL.ImageOps.posterize(image, 5),
        "Contrast": lambda image: enhance.Contrast(image).enhance(1.4),
        "Color": lambda image: enhance.Color(image).enhance(1.4),
        "Brightness": lambda image: enhance.Brightness(image).enhance(1.4),
        "Sharpness": lambda image: enhance.Sharpness(image).enhance(1.4),
        "Cutout": cutout,
        "FlipX": PIL.ImageOps.mirror,
        "SamplePairing": lambda image: PIL.Image.blend(image, partner, 0.3),
    }


def torchvision(size):
    import torch
    import torchvision.transforms.v2.functional as ops
    from torchvision.transforms import InterpolationMode

    torch.set_num_threads(1)
    nearest = InterpolationMode.NEAREST
    move, side = int(0.3 * size), size // 5
    black = torch.zeros(3, 1, 1, dtype=torch.uint8)
    return {
        "Identity": lambda image: image.clone(),
        "ShearX": lambda image: ops.affine(image, 0, [0, 0], 1.0, [11.3, 0], nearest),
        "ShearY": lambda image: ops.affine(image, 0, [0, 0], 1.0, [0, 11.3], nearest),
        "TranslateX": lambda image: ops.affine(image, 0, [move, 0], 1.0, [0, 0], nearest),
        "TranslateY": lambda image: ops.affine(image, 0, [0, move], 1.0, [0, 0], nearest),
        "Rotate": lambda image: ops.rotate(image, 20, nearest),
        "AutoContrast": ops.autocontrast,
        "Invert": ops.invert,
        "Equalize": ops.equalize,
        "Solarize": lambda image: ops.solarize(image, 128),
        "Posterize": lambda image: ops.posterize(image, 5),
        "Contrast": lambda image: ops.adjust_contrast(image, 1.4),
        "Color": lambda image: ops.adjust_saturation(image, 1.4),
        "Brightness": lambda image: ops.adjust_brightness(image, 1.4),
        "Sharpness": lambda image: ops.adjust_sharpness(image, 1.4),
        "Cutout": lambda image: ops.erase(image, 3, 3, side, side, black),
        "FlipX": ops.horizontal_flip,
    }


def albumentations(size):
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    nearest = {"interpolation": cv2.INTER_NEAREST}

    def op(name, **options):
        transform = getattr(albumentations, name)(p=1, **options)
        return lambda image: transform(image=image)["image"]

    def affine(**options):
        return op("Affine", **options, **nearest)

    none = (0, 0)
    return {
        "Identity": lambda image: image.copy(),
        "ShearX": affine(shear={"x": (11.3, 11.3), "y": none}),
        "ShearY": affine(shear={"x": none, "y": (11.3, 11.3)}),
        "TranslateX": affine(translate_percent={"x": (0.3, 0.3), "y": none}),
        "TranslateY": affine(translate_percent={"x": none, "y": (0.3, 0.3)}),
        "Rotate": op("Rotate", limit=(20, 20), **nearest),
        "AutoContrast": op("AutoContrast"),
        "Invert": op("InvertImg"),
        "Equalize": op("Equalize", mode="pil", by_channels=True),
        "Solarize": op("Solarize", threshold_range=(0.5, 0.5)),
        "Posterize": op("Posterize", num_bits=5),
        "Contrast": op(
            "RandomBrightnessContrast", brightness_limit=none, contrast_limit=(0.4, 0.4)
        ),
        "Color": op("ColorJitter", brightness=0, contrast=0, saturation=(1.4, 1.4), hue=0),
        "Brightness": op(
            "RandomBrightnessContrast", brightness_limit=(0.4, 0.4), contrast_limit=none
        ),
        "Sharpness": op("Sharpen", alpha=(0.4, 0.4), lightness=(1, 1)),
        "Cutout": op(
            "CoarseDropout",
            num_holes_range=(1, 1),
            hole_height_range=(0.2, 0.2),
            hole_width_range=(0.2, 0.2),
        ),
        "FlipX": op("HorizontalFlip"),
    }


def policies(size):
    """AutoAugment as others have it: the policy, and in which form it takes images."""
    found = {}
    try:
        import torchvision.transforms.v2 as transforms

        policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
        found["torchvision, PIL"] = (policy, "Pillow")
        found["torchvision, tensors"] = (policy, "torchvision")
    except ImportError:
        pass
    try:
        from timm.data.auto_augment import auto_augment_transform

        options = {"translate_const": int(size * 0.45), "img_mean": (124, 116, 104)}
        found["timm (ImageNet's policy)"] = (auto_augment_transform("original", options), "Pillow")
    except ImportError:
        pass
    return found


def ours(runtime, seconds, size, *what):
    command = [runtime, "bench", "--size", str(size), "--seconds", str(seconds), "--json", *what]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(answer)["images_per_second"]


def levels(runtime):
    """The vector instructions that this CPU has, best first, from the error that names them."""
    command = [runtime, "bench", "--op", "Invert", "--size", "1", "--simd", "?"]
    answer = subprocess.run(command, stderr=subprocess.PIPE, text=True).stderr
    return [level for level in ("avx512", "avx2", "neon", "compiled") if level in answer]


LINES = []


def line(text=""):
    LINES.append(text)
    print(text, flush=True)


def cells(*values):
    line("| " + " | ".join(values) + " |")


def heading_of_levels(all_levels):
    return [cell for level in all_levels for cell in (level, "× the best")]


def cells_of_levels(rates, best):
    return [cell for rate in rates for cell in (f"{rate:,.0f}", f"**{rate / best:.1f}**")]


def table_of_ops(runtime, seconds, size, libraries, all_levels):
    line(f"\n### {size}×{size} RGB, images per second on one thread\n")
    cells("op", *libraries, *heading_of_levels(all_levels))
    cells(":--", *(["--:"] * (len(libraries) + 2 * len(all_levels))))
    images = forms(size)
    libraries = {name: ops(size) for name, ops in libraries.items()}
    for op in libraries["Pillow"]:
        # Only Pillow has every op.
        others = [
            rate(ops[op], images[name], seconds) if op in ops else 0
            for name, ops in libraries.items()
        ]
        mine = [ours(runtime, seconds, size, "--op", op, "--simd", level) for level in all_levels]
        rates = [f"{value:,.0f}" if value else "–" for value in others]
        cells(op, *rates, *cells_of_levels(mine, max(others)))


def table_of_policies(runtime, seconds, all_levels):
    if not any(name.startswith("torchvision") for name in policies(32)):
        return
    line("\n### AutoAugment's policy for CIFAR-10, images per second on one thread\n")
    cells("size", *policies(32), *heading_of_levels(all_levels))
    cells(*["--:"] * (len(policies(32)) + 1 + 2 * len(all_levels)))
    policy = ("--policy", "autoaugment-cifar10")
    for size in SIZES:
        images = forms(size)
        others = {
            name: rate(policy, images[form], 5 * seconds)
            for name, (policy, form) in policies(size).items()
        }
        mine = [
            ours(runtime, 5 * seconds, size, *policy, "--simd", level) for level in all_levels
        ]
        # timm has a different policy, so it is beside the comparison.
        best = max(value for name, value in others.items() if name.startswith("torchvision"))
        rates = [f"{value:,.0f}" for value in others.values()]
        cells(str(size), *rates, *cells_of_levels(mine, best))


def table_of_threads(runtime, seconds):
    line("\n### The same policy on several threads, images per second\n")
    threads = [1, os.cpu_count()]
    cells("size", *(f"{count} thread(s)" for count in threads), "of linear")
    cells(*["--:"] * (len(threads) + 2))
    policy = ("--policy", "autoaugment-cifar10")
    for size in SIZES:
        rates = [
            ours(runtime, 5 * seconds, size, *policy, "--threads", str(count)) for count in threads
        ]
        fraction = rates[-1] / rates[0] / threads[-1]
        cells(str(size), *(f"{value:,.0f}" for value in rates), f"{fraction:.0%}")


def forms(size):
    pils = pictures(size)
    arrays = [numpy.array(image) for image in pils]
    found = {"Pillow": pils, "albumentations": arrays}
    try:
        import torch

        found["torchvision"] = [
            torch.from_numpy(array).permute(2, 0, 1).contiguous() for array in arrays
        ]
    except ImportError:
        pass
    return found


def installed():
    libraries = {}
    for name, ops in zip(COLUMNS, (pillow, torchvision, albumentations)):
        try:
            ops(32)
            libraries[name] = ops
        except ImportError as error:
            print(f"{name} is omitted: {error}", file=sys.stderr)
    return libraries


def versions():
    for package in (
        "pillow",
        "torchvision",
        "torch",
        "albumentations",
        "opencv-python-headless",
        "timm",
        "numpy",
    ):
        try:
            yield f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            pass
    yield f"Python {platform.python_version()}"
    rust = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True)
    yield " ".join(rust.stdout.split()[:2])


def processor():
    with open("/proc/cpuinfo") as lines:
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"


def write(path):
    """Replaces the section of this processor, or adds one before the last section."""
    with open(path) as file:
        first, *sections = file.read().split("\n## ")
    section = "\n".join(LINES).removeprefix("## ") + "\n"
    name = section.split("\n")[0]
    named = [index for index, old in enumerate(sections) if old.split("\n")[0] == name]
    start = named[0] if named else len(sections) - 1
    sections[start : start + len(named)] = [section]
    with open(path, "w") as file:
        file.write("\n## ".join([first, *sections]))


def main():
    arguments = sys.argv[1:]
    path = arguments[arguments.index("--write") + 1] if "--write" in arguments else None
    runtime = arguments[0]
    seconds = float(arguments[1]) if arguments[1:] and arguments[1][0].isdigit() else 0.3
    all_levels = levels(runtime)
    line(f"## {processor()}\n")
    line(f"- {os.cpu_count()} cores, vector instructions: {all_levels[0]}")
    line(f"- Versions: {', '.join(versions())}")
    line(f"- Date: {time.strftime('%Y-%m-%d')}; seconds per rate: {seconds}")
    libraries = installed()
    for size in SIZES:
        table_of_ops(runtime, seconds, size, libraries, all_levels)
    table_of_policies(runtime, seconds, all_levels)
    table_of_threads(runtime, seconds)
    if path:
        write(path)


if __name__ == "__main__":
    main()
