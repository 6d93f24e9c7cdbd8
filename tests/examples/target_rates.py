"""Compares the rates of draws with a mask and 20 boxes with albumentations': target_rates.py PROGRAM SIDE…

PROGRAM is the built example `target_rates`. Both run on one thread, one after the other, on an image of RGB, a mask of
one channel and the same boxes. Needs albumentations and OpenCV. Prints rows of a table in Markdown.
"""

import json
import os
import statistics
import subprocess
import sys
import time

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np

cv2.setNumThreads(1)

NEAREST = {"interpolation": cv2.INTER_NEAREST, "mask_interpolation": cv2.INTER_NEAREST}


def affine(**options):
    return A.Affine(**options, **NEAREST, p=1)


# By our names, at the values of the program.
PEERS = {
    "Identity": A.NoOp(p=1),
    "ShearX": affine(shear={"x": (11.31, 11.31), "y": (0, 0)}),
    "ShearY": affine(shear={"x": (0, 0), "y": (11.31, 11.31)}),
    "TranslateX": affine(translate_percent={"x": (0.2, 0.2), "y": (0, 0)}),
    "TranslateY": affine(translate_percent={"x": (0, 0), "y": (0.2, 0.2)}),
    "Rotate": A.Rotate(limit=(20, 20), **NEAREST, p=1),
    "FlipX": A.HorizontalFlip(p=1),
    "FlipY": A.VerticalFlip(p=1),
    "Cutout": A.CoarseDropout(
        num_holes_range=(1, 1), hole_height_range=(0.2, 0.2), hole_width_range=(0.2, 0.2), p=1
    ),
}

BOXES = 20
IMAGES = 32
ROUNDS = 7


def main(program, *sides):
    for side in sides:
        ours = subprocess.run([program, side], check=True, capture_output=True, text=True).stdout
        for line in map(json.loads, ours.splitlines()):
            peer = PEERS.get(line["what"])
            if peer is None:
                print(row(line), "| | |")
                continue
            theirs = nanoseconds(peer, int(side))
            print(row(line), f"| {theirs / 1000:.1f} | {theirs / line['with_both']:.1f} |")


def row(line):
    times = [line[key] / 1000 for key in ("image", "with_mask", "with_boxes", "with_both")]
    return f"| {line['what']} | {line['size']} | " + " | ".join(f"{time:.1f}" for time in times)


def nanoseconds(peer, side):
    image = (np.arange(side * side * 3) // 7 % 256).astype("uint8").reshape(side, side, 3)
    mask = (np.arange(side * side) // 999 % 256).astype("uint8").reshape(side, side)
    at = side / 40
    boxes = [
        [at * i, at * (20 - i), at * (i + 12), at * (30 - i)] for i in range(BOXES)
    ]
    parameters = A.BboxParams(format="pascal_voc", label_fields=["labels"])
    transform = A.Compose([peer], bbox_params=parameters)
    boxes, labels = np.array(boxes, "float32"), np.arange(BOXES)

    def round_of():
        start = time.perf_counter_ns()
        for _ in range(IMAGES):
            transform(image=image, mask=mask, bboxes=boxes, labels=labels)
        return (time.perf_counter_ns() - start) / IMAGES

    round_of()
    return statistics.median(round_of() for _ in range(ROUNDS))


if __name__ == "__main__":
    main(*sys.argv[1:])
