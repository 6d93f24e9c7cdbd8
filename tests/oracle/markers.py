"""What Pillow's geometric transforms do to a box and to a point, seen by the pixels that mark them."""

from PIL import Image

import ops
import pictures

# The values that an op is given, about as far as policies go.
GEOMETRIC = {
    "ShearX": (-0.3, 0.3),
    "ShearY": (-0.3, 0.3),
    "TranslateX": (-0.45, 0.45),
    "TranslateY": (-0.45, 0.45),
    "Rotate": (-135.0, 135.0),
    "FlipX": (0.0, 0.0),
    "FlipY": (0.0, 0.0),
    "CropPad": (0.0, 16.0),
    "TranslateXAbs": (-30.0, 30.0),
    "TranslateYAbs": (-30.0, 30.0),
}

CASES = 600

# Half the side of a point's marker, without its middle.
REACH = 3

HEADER = """\
# Where Pillow {pillow} moves the pixels of a filled rectangle and of a square of 7×7 pixels, by
# `cargo xtask parity --write-goldens`; not to be edited by hand.
# width height, edges of the rectangle, pixel in the middle of the square | op value seed, … | pixels left of the
# rectangle, edges of the box about them | pixels left of the square, their mean position
"""


def lines():
    stream = pictures.Stream(21)
    for _ in range(CASES):
        yield line(stream)


def line(stream):
    size = width, height = 24 + stream.below(80), 24 + stream.below(80)
    left, right = span(stream, width)
    top, bottom = span(stream, height)
    point = stream.below(width), stream.below(height)
    steps = [draw(stream) for _ in range(1 + stream.below(3))]
    rectangle = moved(size, (left, top, right, bottom), steps)
    square = moved(
        size, (point[0] - REACH, point[1] - REACH, point[0] + REACH + 1, point[1] + REACH + 1), steps
    )
    given = " ".join(str(number) for number in (*size, left, top, right, bottom, *point))
    done = ", ".join(f"{op} {value!r} {seed}" for op, value, seed in steps)
    edges = rectangle.getbbox() or (0, 0, 0, 0)
    box = " ".join(str(number) for number in (len(marked(rectangle)), *edges))
    places = marked(square)
    mean = [sum(place[axis] + 0.5 for place in places) / max(1, len(places)) for axis in (0, 1)]
    return f"{given} | {done} | {box} | {len(places)} {mean[0]!r} {mean[1]!r}\n"


def span(stream, length):
    start = stream.below(length - 10)
    return start, start + 10 + stream.below(length - start - 10 + 1)


def draw(stream):
    op = list(GEOMETRIC)[stream.below(len(GEOMETRIC))]
    low, high = GEOMETRIC[op]
    return op, low + stream.unit() * (high - low), stream.next_u64()


def moved(size, box, steps):
    image = Image.new("L", size)
    image.paste(255, box)
    for op, value, seed in steps:
        image = ops.OPS[op](image, value, pictures.Stream(seed), None)
    return image


def marked(image):
    width = image.width
    return [(i % width, i // width) for i, level in enumerate(image.tobytes()) if level]
