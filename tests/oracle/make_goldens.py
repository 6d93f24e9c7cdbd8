"""Writes tests/goldens/ops.txt, Pillow's results of thousands of cases, one per line, and markers.txt beside it.

Usage: make_goldens.py FILE, or `cargo xtask parity --write-goldens`, which provides the right version of
Pillow. The cases are always the same: the files change only with Pillow's version or with these scripts.
"""

import pathlib
import sys

import PIL
from PIL import Image

import markers
import ops
import pictures

RANGES = {
    "ShearX": (-0.3, 0.3),
    "ShearY": (-0.3, 0.3),
    "TranslateX": (-0.45, 0.45),
    "TranslateY": (-0.45, 0.45),
    "Rotate": (-30.0, 30.0),
    "Solarize": (0.0, 256.0),
    "Posterize": (4.0, 8.0),
    "Contrast": (0.1, 1.9),
    "Color": (0.1, 1.9),
    "Brightness": (0.1, 1.9),
    "Sharpness": (0.1, 1.9),
    "Cutout": (0.0, 0.2),
    "SamplePairing": (0.0, 0.4),
    "CropPad": (0.0, 16.0),
    "CutoutAbs": (0.0, 64.0),
    "TranslateXAbs": (-150.0, 150.0),
    "TranslateYAbs": (-150.0, 150.0),
    "SolarizeAdd": (0.0, 110.0),
    "PosterizeBits": (0.0, 8.0),
}

SIZES = [
    (1, 1), (1, 7), (7, 1), (2, 2), (3, 3), (2, 9), (9, 2), (5, 4), (16, 17),
    (31, 33), (32, 32), (65, 63), (100, 1), (1, 100), (128, 48), (224, 224), (641, 427),
    # So long that coordinates overflow 16 bits.
    (33000, 2), (1, 33000),
]  # fmt: skip

# An odd number of values for each size and mode: with an even one, some values would meet some
# modes only.
VALUES_OF_A_SHAPE = 3

# Larger than a CPU's caches.
LARGE = (4096, 4096)

HEADER = """\
# What Pillow {pillow} makes of the built-in ops' cases, by `cargo xtask parity --write-goldens`; not
# to be edited by hand. The images are those of tests/oracle/pictures.py, a mixing op's partner is
# that image's partner number 0, and the digest is of the resulting samples.
# op value seed width height mode kind image-seed digest
"""


def main(path):
    if PIL.__version__ != ops.PILLOW:
        sys.exit(f"Pillow {ops.PILLOW} is needed, but this is {PIL.__version__}")
    pictures.check_known()
    lines = [golden(case) for case in cases()]
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write(HEADER.format(pillow=PIL.__version__))
        file.writelines(lines)
    print(f"{len(lines)} cases of {len(ops.OPS)} ops, Pillow {PIL.__version__}: {path}")
    path = pathlib.Path(path).with_name("markers.txt")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(markers.HEADER.format(pillow=PIL.__version__))
        file.writelines(markers.lines())
    print(f"{markers.CASES} markers: {path}")


def golden(case):
    op, value, seed, width, height, mode, kind, image_seed = case
    shape = width, height, mode
    image = image_of(pictures.picture(kind, image_seed, *shape), shape)
    partner = image_of(pictures.partner(image_seed, 0, *shape), shape)
    result = ops.OPS[op](image, value, pictures.Stream(seed), partner)
    assert (result.size, result.mode) == (image.size, image.mode), case
    digest = pictures.digest(result.tobytes())
    return f"{op} {value!r} {seed} {width} {height} {mode} {kind} {image_seed} {digest}\n"


def image_of(samples, shape):
    width, height, mode = shape
    return Image.frombytes(mode, (width, height), samples)


def cases():
    stream = pictures.Stream(20)
    for op_number, op in enumerate(ops.OPS):
        turn = 0
        for size_number, size in enumerate(SIZES):
            for mode in pictures.CHANNELS:
                values = values_of(op, *size, mode, stream)
                for _ in range(VALUES_OF_A_SHAPE):
                    kind = pictures.KINDS[(turn + size_number) % len(pictures.KINDS)]
                    # Few seeds, so that many cases share an image, but large numbers.
                    image_seed = (op_number % 3 + 1) * 0x9E3779B97F4A7C15 % 2**64
                    value = values[turn % len(values)]
                    yield op, value, stream.next_u64(), *size, mode, kind, image_seed
                    turn += 1
    # Halves of a step of Pillow's fixed point, whose rounding adds up to a pixel over many rows.
    for numerator in (13107, -13107, 9175, -1, 1, 20001):
        for op in ("ShearX", "ShearY"):
            for nudge in (-1e-9, 0.0, 1e-9):
                value = numerator / 131072 + nudge
                yield op, value, 0, 641, 427, "L", "noise", 1
    for op, value, mode in [("Rotate", 17.3, "L"), ("ShearY", -0.21, "RGB"), ("Contrast", 1.7, "L")]:
        yield op, value, 0, *LARGE, mode, "noise", 1


def values_of(op, width, height, mode, stream):
    """Values within an op's range, at its ends and outside, and special values of the op."""
    if op not in RANGES:
        return [0.0]
    low, high = RANGES[op]
    inside = [low + stream.unit() * (high - low) for _ in range(4)]
    huge = [1e300, -1e300] if may_be_huge(op, mode) else []
    beyond = [
        low - 10 * stream.unit() * (high - low),
        high + 10 * stream.unit() * (high - low),
        1e6, -1e6, 1e20, -1e20,
    ]  # fmt: skip
    return [inside[0], low, inside[1], high, *inside[2:], 0.0, -0.0] + [
        *special_of(op, width, height),
        *huge,
        *(value for value in beyond if op != "CropPad" or value < 100),
    ]


def may_be_huge(op, mode):
    """Whether Pillow and our ops agree on values that overflow single precision.

    With such a factor, Pillow sets alpha to 0, while our ops keep it: that is the only difference. Padding
    of that size would need too much memory.
    """
    enhances = op in ("Contrast", "Color", "Brightness", "Sharpness")
    return op != "CropPad" and not (enhances and mode == "RGBA")


def special_of(op, width, height):
    if op in ("ShearX", "ShearY"):
        # Rows are shifted by half a pixel, or the coordinates of a corner overflow 16 bits.
        across = height if op == "ShearX" else width
        return [0.5, -0.5, 1.0, -1.0, 0.25, 32767 / across, -33000 / across, 700.3, 1e-17, 1 / 3]
    if op in ("TranslateX", "TranslateY"):
        along = width if op == "TranslateX" else height
        pixels = [0.5, -0.5, 1.5, -1.5, 1.0, -1.0, 3.0, -3.0, 0.49999999999999994, along, -along]
        return [pixel / along for pixel in pixels] + [1e-17, -1e-17, -0.5 / along - 1e-17]
    if op in ("TranslateXAbs", "TranslateYAbs"):
        along = width if op == "TranslateXAbs" else height
        return [
            0.5, -0.5, 1.5, -1.5, 1.0, -1.0, 0.49999999999999994, -2.5, 3.7, -0.2, 1e-17, -1e-17,
            along, -along, along - 0.5, 0.5 - along, along / 2, 1 - along,
        ]  # fmt: skip
    if op == "Rotate":
        return [
            90.0, 180.0, 270.0, 360.0, -90.0, -180.0, 450.0, 45.0, -45.0, 15.0, -15.0, 60.0,
            179.99999999999997, 180.00000000000003, 89.99999999999999, 1e-14, -1e-14, -1e-20, 22.5,
        ]  # fmt: skip
    if op == "Solarize":
        return [128.0, 127.5, 100.3, 1.0, 0.5, 255.0, 255.5, 254.99999999999997, 5e-324]
    if op in ("Posterize", "PosterizeBits"):
        return [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.999999999999999, 0.9, 1.9, 4.5, 9.0, -1.0]
    if op == "SolarizeAdd":
        return [1.0, 0.9, -0.9, 64.0, 110.5, 127.0, 128.0, 200.0, 255.0, -1.0, -60.0, -300.0]
    if op in ("Contrast", "Color", "Brightness", "Sharpness", "SamplePairing"):
        # 0.1 lies on another side of one tenth as a single than as a double.
        return [1.0, 0.5, 0.1, 1.0000001, 0.9999999999, -1e-9, 2.0, -0.5, 1e37, -1e37, 1e-40, 255.0]
    if op == "Cutout":
        pixels = [0.5, 1.0, 1.5, 2.0, 3.0, 3.5, width / 2, width, 2 * width]
        return [pixel / width for pixel in pixels] + [5e-324, -0.1]
    if op == "CutoutAbs":
        return [1.0, 1.9, 2.0, 3.0, 4.0, 5.9, 16.0, 63.9, -3.0]
    if op == "CropPad":
        return [0.9, 1.0, 1.9, 2.0, 4.0, 15.5, 40.0, -2.0]
    raise ValueError(f"{op} has no values here")


if __name__ == "__main__":
    main(*sys.argv[1:])
