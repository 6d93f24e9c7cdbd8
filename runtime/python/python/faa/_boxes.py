"""Formats of boxes, to and from those of the native part: edges; or centre, width, height and angle."""

from collections.abc import Callable, Sequence
from math import atan2, cos, degrees, hypot, radians, sin
from typing import NamedTuple

Row = Sequence[float]
#: Left, top, right, bottom.
Edges = tuple[float, float, float, float]
#: X and y of the centre, width, height, and the angle in degrees, counter-clockwise.
Rotated = tuple[float, float, float, float, float]


class Straight(NamedTuple):
    """A format of boxes with their sides along those of the image."""

    to_edges: Callable[[Row], Edges]
    of_edges: Callable[[Edges], Row]


class Turned(NamedTuple):
    """A format of boxes at any angle."""

    to_rotated: Callable[[Row], Rotated]
    of_rotated: Callable[[Rotated], Row]


def _edges(row: Row) -> Edges:
    left, top, right, bottom = map(float, row)
    return left, top, right, bottom


def _edges_of_xywh(row: Row) -> Edges:
    x, y, width, height = map(float, row)
    return x, y, x + width, y + height


def _edges_of_cxcywh(row: Row) -> Edges:
    x, y, width, height = map(float, row)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _xywh(edges: Edges) -> Row:
    left, top, right, bottom = edges
    return left, top, right - left, bottom - top


def _cxcywh(edges: Edges) -> Row:
    left, top, right, bottom = edges
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _rotated(row: Row) -> Rotated:
    x, y, width, height, angle = map(float, row)
    return x, y, width, height, angle


def _at(box: Rotated, across: float, down: float) -> tuple[float, float]:
    """A place in a box, by fractions of its width and height from its centre."""
    x, y, width, height, angle = box
    across, down = across * width, down * height
    sine, cosine = sin(radians(angle)), cos(radians(angle))
    return x + across * cosine + down * sine, y - across * sine + down * cosine


def _rotated_of_xywhr(row: Row) -> Rotated:
    x, y, width, height, angle = map(float, row)
    # From its first corner, the centre of a box is where its last would be from the centre.
    return *_at((x, y, width, height, angle), 0.5, 0.5), width, height, angle


def _xywhr(box: Rotated) -> Row:
    return *_at(box, -0.5, -0.5), *box[2:]


def _rotated_of_corners(row: Row) -> Rotated:
    """The smallest box about four corners along the longer of the sides from the first; for a rectangle, itself."""
    corners = [(float(row[index]), float(row[index + 1])) for index in (0, 2, 4, 6)]
    (x0, y0), (x1, y1), _, (x3, y3) = corners
    if hypot(x1 - x0, y1 - y0) >= hypot(x3 - x0, y3 - y0):
        angle = atan2(y0 - y1, x1 - x0)
    else:
        angle = atan2(x3 - x0, y3 - y0)
    sine, cosine = sin(angle), cos(angle)
    across = [x * cosine - y * sine for x, y in corners]
    down = [x * sine + y * cosine for x, y in corners]
    width, height = max(across) - min(across), max(down) - min(down)
    u, v = (max(across) + min(across)) / 2, (max(down) + min(down)) / 2
    return u * cosine + v * sine, v * cosine - u * sine, width, height, degrees(angle)


def _corners(box: Rotated) -> Row:
    places = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    return [number for place in places for number in _at(box, *place)]


#: By torchvision's names.
FORMATS: dict[str, Straight | Turned] = {
    "XYXY": Straight(_edges, lambda edges: edges),
    "XYWH": Straight(_edges_of_xywh, _xywh),
    "CXCYWH": Straight(_edges_of_cxcywh, _cxcywh),
    "CXCYWHR": Turned(_rotated, lambda box: box),
    "XYWHR": Turned(_rotated_of_xywhr, _xywhr),
    "XYXYXYXY": Turned(_rotated_of_corners, _corners),
}
