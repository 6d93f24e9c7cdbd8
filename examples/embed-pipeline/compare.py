"""How fast the loader is beside others: JPEG files to augmented and normalised batches of floats.

    pip install torch torchvision pillow scikit-image scikit-learn nvidia-dali-cuda130
    cargo build --release -p embed-pipeline --features libjpeg-turbo --target-dir target/turbo
    cargo build --release -p embed-pipeline
    python3 examples/embed-pipeline/compare.py target/release/embed-pipeline target/turbo/release/embed-pipeline

prints a table in Markdown. A loader that is not installed is omitted; scikit-image and scikit-learn are needed for their
photographs, from which the files are cut: 256 of 224×224 pixels and 128 of 500×375, as JPEG of quality 90.

All do the same work: read the files of a folder in random order, decode them, cut out the square in the middle and
scale it to 224×224 pixels where it is larger, apply AutoAugment's policy for ImageNet, and make batches of 64 images, NCHW,
normalised. Each runs in a process of its own on one core, where it decodes on one thread; with --all-cores, a second table
has as many cores and threads or workers as there are. The processes take turns, for three rounds; a rate is the median,
without the first pass over the files, beside the lowest and the highest.
"""
import importlib.metadata
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
    programs = [it for it in sys.argv[1:] if it != "--all-cores"]
    cores = sorted(os.sched_getaffinity(0))
    loaders = {}
    for program, decoder in zip(programs, ("image", "libjpeg-turbo")):
        loaders[f"embed-pipeline, {decoder}"] = [program]
        loaders[f"decoding alone, {decoder}"] = [program, "--decode-only"]
    for name, package in (("torchvision, PIL", "torchvision"), ("torchvision, tensors", "torchvision"),
                          ("DALI, CPU", "nvidia-dali-cuda130")):
        if version(package):
            loaders[name] = [sys.executable, __file__, "--run", name]
    print(f"- CPU: {processor()}, {len(cores)} cores; Linux {platform.release()}")
    packages = ("torch", "torchvision", "pillow", "nvidia-dali-cuda130")
    print("- " + ", ".join(f"{name} {version(name)}" for name in packages if version(name)))
    with tempfile.TemporaryDirectory() as folder:
        for size in FILES:
            write_photographs(pathlib.Path(folder, name_of(size), "all"), size)
        for threads in (1, len(cores)) if "--all-cores" in sys.argv else (1,):
            print(f"\n| {threads} core{'s' * (threads > 1)} | " + " | ".join(map(name_of, FILES)) + " |")
            print("|:--|" + "--:|" * len(FILES))
            chosen = {name: it for name, it in loaders.items() if threads == 1 or "alone" not in name}
            rates = {(name, size): [] for name in chosen for size in FILES}
            for _ in range(ROUNDS):
                for name, size in rates:
                    path = os.path.join(folder, name_of(size))
                    rates[name, size].append(rate(chosen[name], path, size, threads, cores[:threads]))
            for name in chosen:
                print(f"| {name} | " + " | ".join(shown(rates[name, size]) for size in FILES) + " |", flush=True)


def rate(command, folder, size, threads, cores):
    passes = IMAGES // FILES[size] + 1
    if command[0] == sys.executable:
        command = command + [folder, str(threads), str(passes)]
    else:
        command = command + [folder, "--epochs", str(passes)]
        if "--decode-only" not in command:
            command += ["--threads", str(threads), "--batch", str(BATCH), "--size", str(SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores))
    rates = [float(it) for it in re.findall(r"([\d.]+) images/s", done.stdout)]
    assert len(rates) == passes, done.stdout
    return statistics.median(rates[1:])


def shown(rates):
    return f"**{statistics.median(rates):,.0f}** ({min(rates):,.0f} … {max(rates):,.0f})"


def run(name, folder, threads, passes):
    """One of the others: prints the rate of each pass."""
    loader = dali(folder, threads) if name.startswith("DALI") else torchvision(name, folder, threads)
    for _ in range(passes):
        start, images = time.perf_counter(), 0
        for batch in loader:
            if name.startswith("DALI"):
                batch = batch[0]["images"], batch[0]["labels"]
            assert batch[0].shape[1:] == (3, SIZE, SIZE) and str(batch[0].dtype) == "torch.float32"
            images += len(batch[0])
        print(f"{images / (time.perf_counter() - start)} images/s")


def torchvision(name, folder, threads):
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
    workers = threads if threads > 1 else 0
    return torch.utils.data.DataLoader(files, BATCH, shuffle=True, num_workers=workers,
                                       persistent_workers=workers > 0)


def read_tensor(path):
    from torchvision import io

    return io.decode_jpeg(io.read_file(path), io.ImageReadMode.RGB)


def dali(folder, threads):
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.auto_aug import auto_augment
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    side = min(size_in(folder))

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None, enable_conditionals=True)
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
    import skimage
    import sklearn

    folder.mkdir(parents=True)
    of_skimage = pathlib.Path(skimage.__file__).parent / "data"
    of_sklearn = pathlib.Path(sklearn.__file__).parent / "datasets/images"
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
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
