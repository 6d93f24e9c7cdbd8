"""Rates of a whole policy beside torchvision, timm and albumentations, in one run, on one thread.

Prints a table in Markdown for BENCHMARKS.md. All apply two ops of RandAugment's list to each image; timm and
albumentations have lists and strengths of their own. Run it on an otherwise idle machine.
"""

import os
import platform
import random
import statistics
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import PIL  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from PIL import Image  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

import faa  # noqa: E402

POLICY = faa.load("randaugment")
COUNT = 128
ROUNDS, SECONDS = 7, 0.5


def pictures(size):
    """Smooth images of low contrast, NHWC."""
    y, x = np.mgrid[:size, :size] / size
    images = []
    for number in range(COUNT):
        waves = [np.sin(6 * x + number + k) + np.cos(5 * y * (1 + k)) for k in range(3)]
        images.append(128 + 30 * np.stack(waves, -1))
    return np.stack(images).astype(np.uint8)


def ways(size):
    """What is measured: name, kind of image, and a function that augments all images once."""
    arrays = pictures(size)
    out = np.empty_like(arrays)
    images = [Image.fromarray(array) for array in arrays]
    tensors = [torch.from_numpy(array).movedim(-1, 0).contiguous() for array in arrays]
    yield "faa", "batch of arrays", lambda: POLICY.batch(arrays, seed=1, out=out)
    yield "faa", "arrays", lambda: [POLICY(it, seed=1, index=i) for i, it in enumerate(arrays)]
    yield "faa", "PIL images", lambda: [POLICY(it, seed=1, index=i) for i, it in enumerate(images)]
    yield "faa", "tensors", lambda: [POLICY(it, seed=1, index=i) for i, it in enumerate(tensors)]
    torchvision_s = v2.RandAugment()
    yield f"torchvision {torchvision.__version__}", "PIL images", lambda: list(map(torchvision_s, images))
    yield f"torchvision {torchvision.__version__}", "tensors", lambda: list(map(torchvision_s, tensors))
    try:
        import timm
        from timm.data.auto_augment import rand_augment_transform
    except ImportError:
        print("timm is not installed")
    else:
        timm_s = rand_augment_transform("rand-m9-n2", {})
        yield f"timm {timm.__version__}", "PIL images", lambda: list(map(timm_s, images))
    try:
        import albumentations
    except ImportError:
        print("albumentations is not installed")
    else:
        albumentations_s = two_ops(albumentations)
        name = f"albumentations {albumentations.__version__}"
        yield name, "arrays", lambda: [albumentations_s(image=it)["image"] for it in arrays]


def two_ops(a):
    """Two of the ops of RandAugment that albumentations has."""
    import cv2

    cv2.setNumThreads(1)
    ops = [
        a.NoOp(p=1),
        a.Affine(shear={"x": (-17, 17)}, p=1),
        a.Affine(shear={"y": (-17, 17)}, p=1),
        a.Affine(translate_percent={"x": (-0.3, 0.3)}, p=1),
        a.Affine(translate_percent={"y": (-0.3, 0.3)}, p=1),
        a.Rotate(limit=(-30, 30), p=1),
        a.ColorJitter((0.7, 1.3), (1, 1), (1, 1), (0, 0), p=1),
        a.ColorJitter((1, 1), (0.7, 1.3), (1, 1), (0, 0), p=1),
        a.ColorJitter((1, 1), (1, 1), (0.7, 1.3), (0, 0), p=1),
        a.Sharpen(p=1),
        a.Posterize(p=1),
        a.Solarize(p=1),
        a.AutoContrast(p=1),
        a.Equalize(p=1),
    ]
    return a.Compose([a.SomeOf(ops, n=2, replace=True, p=1)])


def main():
    torch.set_num_threads(1)
    random.seed(0)
    torch.manual_seed(0)
    print(f"{processor()}; Python {platform.python_version()}, torch {torch.__version__}, "
          f"Pillow {PIL.__version__}, NumPy {np.__version__}\n")  # fmt: skip
    print("| size | package | images | images/s | times the best of torchvision |\n|---|---|---|---|---|")
    for size in (32, 224):
        rows = [(name, kind, work, []) for name, kind, work in ways(size)]
        for _ in range(ROUNDS):
            # In turn, so that all meet the same disturbances.
            for _, _, work, rates in rows:
                rates.append(rate(work))
        medians = [(name, kind, statistics.median(rates)) for name, kind, _, rates in rows]
        best = max(rate for name, _, rate in medians if name.startswith("torchvision"))
        for name, kind, own in medians:
            print(f"| {size}×{size} | {name} | {kind} | {own:,.0f} | {own / best:.1f} |")


def rate(work):
    """Images per second."""
    start, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        work()
        done += COUNT
    return done / elapsed


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    main()
