"""How fast the loader is beside others: JPEG files to augmented and normalised batches of floats.

    pip install torch torchvision pillow scikit-image scikit-learn nvidia-dali-cuda130
    cargo build --release -p embed-pipeline --features libjpeg-turbo --target-dir target/turbo
    cargo build --release -p embed-pipeline
    python3 examples/embed-pipeline/compare.py target/release/embed-pipeline target/turbo/release/embed-pipeline

prints a table in Markdown. A loader that is not installed is omitted; scikit-image and scikit-learn are needed for their
photographs, from which the files are cut: 256 of 224×224 pixels and 128 of 500×375, as JPEG of quality 90.

All do the same work: read the files of a folder in random order, decode them, cut out the square in the middle and
scale it to 224×224 pixels where it is larger, apply AutoAugment's policy for ImageNet, and make batches of 64 images, NCHW,
normalised. Each runs in a process of its own, and decodes on one thread. A rate is images per second of processor time of
all of the process's threads, so that the rates of a busy machine are close to those of a quiet one; the processes take
turns, for three rounds, and the median is beside the lowest and the highest. What happens before the second pass over the
files is not counted, except by the programs in Rust, which are counted from their start and make eight times as many
passes.
"""
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, BATCH, ROUNDS = 224, 64, 3
FILES = {(224, 224): 256, (500, 375): 128}
IMAGES = 512


def main():
    loaders = {}
    for program, decoder in zip(sys.argv[1:], ("image", "libjpeg-turbo")):
        loaders[f"embed-pipeline, {decoder}"] = [program]
        loaders[f"decoding alone, {decoder}"] = [program, "--decode-only"]
    for name, package in (("torchvision, PIL", "torchvision"), ("torchvision, tensors", "torchvision"),
                          ("DALI, CPU", "nvidia-dali-cuda130")):
        if version(package):
            loaders[name] = [sys.executable, __file__, "--run", name]
    print(f"- CPU: {processor()}; Linux {platform.release()}")
    packages = ("torch", "torchvision", "pillow", "nvidia-dali-cuda130")
    print("- " + ", ".join(f"{name} {version(name)}" for name in packages if version(name)))
    with tempfile.TemporaryDirectory() as folder:
        for size in FILES:
            write_photographs(pathlib.Path(folder, name_of(size), "all"), size)
        print("\n| images/s per core | " + " | ".join(map(name_of, FILES)) + " |")
        print("|:--|" + "--:|" * len(FILES))
        rates = {(name, size): [] for name in loaders for size in FILES}
        for _ in range(ROUNDS):
            for name, size in rates:
                rates[name, size].append(rate(loaders[name], os.path.join(folder, name_of(size)), size))
                print(name, name_of(size), rates[name, size][-1], file=sys.stderr, flush=True)
        for name in loaders:
            print(f"| {name} | " + " | ".join(shown(rates[name, size]) for size in FILES) + " |")


def rate(command, folder, size):
    passes = IMAGES // FILES[size]
    if command[0] == sys.executable:
        done = subprocess.run([*command, folder, str(passes)], capture_output=True, text=True, check=True)
        return float(re.search(r"([\d.]+) images/s", done.stdout)[1])
    passes *= 8
    options = [] if "--decode-only" in command else ["--threads", "1", "--batch", str(BATCH)]
    options += ["--epochs", str(passes), "--size", str(SIZE)]
    with subprocess.Popen([*command, folder, *options], stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = status
    assert status == 0
    return passes * FILES[size] / (used.ru_utime + used.ru_stime)


def shown(rates):
    return f"**{statistics.median(rates):,.0f}** ({min(rates):,.0f} … {max(rates):,.0f})"


def run(name, folder, passes):
    """One of the others: prints its rate."""
    loader = dali(folder) if name.startswith("DALI") else torchvision(name, folder)
    images = 0
    for index in range(passes + 1):
        if index == 1:
            start, images = time.process_time(), 0
        for batch in loader:
            floats = batch[0]["images"] if name.startswith("DALI") else batch[0]
            assert floats.shape[1:] == (3, SIZE, SIZE) and str(floats.dtype) == "torch.float32"
            images += len(floats)
    print(f"{images / (time.process_time() - start)} images/s")


def torchvision(name, folder):
    import torch
    from torchvision import datasets
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    side = min(size_in(folder))
    steps = [v2.CenterCrop(side), v2.Resize(SIZE, antialias=True)] if side > SIZE else []
    steps.append(v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET))
    if name.endswith("PIL"):
        steps.append(v2.PILToTensor())
        load = datasets.folder.pil_loader
    else:
        load = read_tensor
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    files = datasets.ImageFolder(folder, v2.Compose(steps), loader=load)
    return torch.utils.data.DataLoader(files, BATCH, shuffle=True)


def read_tensor(path):
    from torchvision import io

    return io.decode_jpeg(io.read_file(path), io.ImageReadMode.RGB)


def dali(folder):
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.auto_aug import auto_augment
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    side = min(size_in(folder))

    @pipeline_def(batch_size=BATCH, num_threads=1, device_id=None, enable_conditionals=True)
    def pipeline():
        files, labels = fn.readers.file(file_root=folder, random_shuffle=True, name="files")
        images = fn.decoders.image(files, device="cpu", output_type=types.RGB)
        if side > SIZE:
            images = fn.crop(images, crop=(side, side))
            images = fn.resize(images, size=(SIZE, SIZE), interp_type=types.INTERP_TRIANGULAR)
        images = auto_augment.auto_augment_image_net(images, shape=[SIZE, SIZE])
        images = fn.crop_mirror_normalize(images, dtype=types.FLOAT, output_layout="CHW",
                                          mean=[255 * it for it in MEAN], std=[255 * it for it in DEVIATION])
        return images, labels

    built = pipeline()
    built.build()
    return DALIGenericIterator([built], ["images", "labels"], reader_name="files", auto_reset=True)


def size_in(folder):
    return next(size for size in FILES if name_of(size) == os.path.basename(folder))


def write_photographs(folder, size):
    """Cuts files of a size out of photographs, always the same."""
    import PIL.Image

    def folder_of(package):
        return pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])

    folder.mkdir(parents=True)
    of_skimage = folder_of("skimage") / "data"
    of_sklearn = folder_of("sklearn") / "datasets/images"
    names = ("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
    paths = [of_skimage / name for name in names] + [of_sklearn / name for name in ("flower.jpg", "china.jpg")]
    photographs = [PIL.Image.open(path).convert("RGB") for path in paths]
    draw = random.Random(1)
    for index in range(FILES[size]):
        photograph = photographs[index % len(photographs)]
        scale = draw.uniform(0.6, 1) * min(photograph.width / size[0], photograph.height / size[1])
        width, height = int(size[0] * scale), int(size[1] * scale)
        left, top = draw.randint(0, photograph.width - width), draw.randint(0, photograph.height - height)
        box = (left, top, left + width, top + height)
        picture = photograph.resize(size, PIL.Image.Resampling.BICUBIC, box=box)
        picture.save(folder / f"{index:04}.jpg", quality=90)


def name_of(size):
    return f"{size[0]}×{size[1]}"


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor():
    fields = dict(line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
