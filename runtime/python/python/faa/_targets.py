"""Masks, boxes and keypoints that move along with an image.

As in `_images`, NumPy and torch are never imported here.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from faa._images import _kind

_SCALARS = (int, float, str, bytes)

#: The keys of a sample whose NumPy arrays move along.
_KEYS = ("mask", "masks", "bboxes", "keypoints")


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What becomes of masks, boxes and keypoints, which move along with an image.

    `fill` is the label of mask pixels that come from outside of the image. A box of which less than the fraction
    `min_visible` of its area is left, or that is less than `min_size` pixels wide or high, is dropped: its numbers
    become 0. Where an op such as Cutout erases a rectangle, objects stay behind it (`erased="occluded"`), or are gone
    (`"removed"`): labels become `fill`, points are no longer visible, and its area is missing from the boxes.
    """

    fill: int = 0
    min_visible: float = 0.0
    min_size: float = 1.0
    erased: Literal["occluded", "removed"] = "occluded"

    def __post_init__(self) -> None:
        if self.erased not in ("occluded", "removed"):
            raise ValueError(f"`erased` must be 'occluded' or 'removed', and is {self.erased!r}")


class Native(NamedTuple):
    """Targets as the native part takes them."""

    masks: list[tuple[int, int, int, int, int]]
    boxes: list[tuple[float, float, float, float]]
    points: list[tuple[float, float, bool]]
    min_visible: float
    min_size: float
    removed: bool


#: Moves what `Native` holds, and returns boxes (with how much of each is visible) and points.
Move = Callable[
    [Native],
    tuple[list[tuple[float, float, float, float, float]], list[tuple[float, float, bool]]],
]


class Moving:
    """The targets of one sample."""

    def __init__(self, options: TargetOptions) -> None:
        self._native = Native(
            [], [], [], options.min_visible, options.min_size, options.erased == "removed"
        )
        self._fill = options.fill
        self._size: tuple[int, int] | None = None
        # By identity, how each becomes its result.
        self._results: dict[int, Callable[[], Any]] = {}
        self._moved: Any = None

    def __bool__(self) -> bool:
        return bool(self._results)

    def find(self, sample: Any, *, has_keys: bool = True) -> None:
        """Finds what moves in a sample: tv_tensors wherever they are, and arrays by their keys."""
        if isinstance(sample, Mapping):
            for key, value in sample.items():
                if has_keys and key in _KEYS and value is not None:
                    self._add_entry(key, value)
                else:
                    self.find(value, has_keys=False)
        elif isinstance(sample, tuple | list):
            # Long lists of tokens and the like are not searched.
            if sample and not isinstance(sample[0], _SCALARS):
                for value in sample:
                    self.find(value, has_keys=False)
        elif (add := self._adder(sample)) is not None:
            add(sample)

    def move(self, move: Move, size: tuple[int, int]) -> None:
        """Moves all of them along with an image of this height and width."""
        if self._size not in (None, size):
            raise ValueError(
                f"the boxes or keypoints are those of an image of {self._size}, and not of {size}"
            )
        self._moved = move(self._native)

    def result(self, sample: Any) -> Any:
        """The sample with everything that was moved."""
        if (make := self._results.get(id(sample))) is not None:
            return make()
        if isinstance(sample, Mapping):
            moved = {key: self.result(value) for key, value in sample.items()}
            unchanged = all(moved[key] is value for key, value in sample.items())
            return sample if unchanged else moved
        if isinstance(sample, tuple | list):
            values = [self.result(value) for value in sample]
            if all(new is old for new, old in zip(values, sample, strict=True)):
                return sample
            return getattr(type(sample), "_make", type(sample))(values)
        return sample

    def _add_entry(self, key: str, value: Any) -> None:
        if (add := self._adder(value)) is not None:
            add(value)
        elif key == "masks" and isinstance(value, tuple | list):
            for mask in value:
                self._add_entry("mask", mask)
        elif key in ("mask", "masks"):
            self._array(value, "a mask", ("uint8", "uint16", "bool"))
            self._add_mask(value, value.copy("C"))
        elif key == "bboxes":
            self._array(value, "boxes", None)
            if value.ndim != 2 or value.shape[1] != 4:
                raise TypeError(f"boxes of shape {value.shape} are not N×4: left, top, right, bottom")
            start = self._add_boxes(value.tolist())
            self._results[id(value)] = lambda: self._array_like(
                value, [box[:4] for box in self._moved[0][start : start + len(value)]]
            )
        else:
            self._array(value, "keypoints", None)
            if value.ndim != 2 or value.shape[1] not in (2, 3):
                raise TypeError(f"keypoints of shape {value.shape} are not N×2 or N×3: x, y, visible")
            start = len(self._native.points)
            columns = value.shape[1]
            self._native.points.extend(
                (float(x), float(y), not rest or rest[0] > 0) for x, y, *rest in value.tolist()
            )

            def points() -> Any:
                moved = self._moved[1][start : start + len(value)]
                # What visible points have in the third column stays.
                rows = [
                    (x, y, old[2] if seen else 0) if columns == 3 else (x, y)
                    for (x, y, seen), old in zip(moved, value.tolist(), strict=True)
                ]
                return self._array_like(value, rows)

            self._results[id(value)] = points

    def _adder(self, value: Any) -> Callable[[Any], None] | None:
        tensors = sys.modules.get("torchvision.tv_tensors")
        if tensors is None:
            return None
        for name, add in (
            ("Mask", self._add_tv_mask),
            ("BoundingBoxes", self._add_tv_boxes),
            ("KeyPoints", self._add_tv_points),
        ):
            kind = getattr(tensors, name, None)
            if kind is not None and isinstance(value, kind):
                return add
        return None

    @staticmethod
    def _array(value: Any, name: str, dtypes: tuple[str, ...] | None) -> None:
        array = getattr(sys.modules.get("numpy"), "ndarray", None)
        if array is None or not isinstance(value, array):
            raise TypeError(
                f"{name} must be a NumPy array or the tv_tensor of torchvision, and not {_kind(value)}"
            )
        if dtypes is not None and value.dtype not in dtypes:
            raise TypeError(f"{name} of {value.dtype} cannot be moved, only of {' or '.join(dtypes)}")

    @staticmethod
    def _array_like(value: Any, rows: list[Any]) -> Any:
        numpy = sys.modules["numpy"]
        dtype = value.dtype if value.dtype.kind == "f" else "float64"
        return numpy.array(rows, dtype).reshape(value.shape)

    def _add_mask(self, mask: Any, result: Any) -> None:
        if mask.ndim not in (2, 3):
            raise TypeError(f"a mask of shape {mask.shape} is not HW, nor masks NHW")
        address = result.__array_interface__["data"][0]
        self._add_labels(address, result.itemsize, result.shape, is_bool=result.dtype == "bool")
        self._results[id(mask)] = lambda: result

    def _add_labels(
        self, address: int, itemsize: int, shape: tuple[int, ...], *, is_bool: bool
    ) -> None:
        if not 0 <= self._fill < (2 if is_bool else 1 << 8 * itemsize):
            raise ValueError(f"`fill` must be a label of the mask, and is {self._fill}")
        *count, height, width = shape
        for index in range(count[0] if count else 1):
            offset = index * height * width * itemsize
            self._native.masks.append((address + offset, itemsize, height, width, self._fill))

    def _add_tv_mask(self, mask: Any) -> None:
        torch = sys.modules["torch"]
        if mask.dtype not in (torch.uint8, torch.bool, torch.uint16) or mask.device.type != "cpu":
            raise TypeError(
                f"a mask of {mask.dtype} on {mask.device} cannot be moved, only of torch.uint8, torch.bool or "
                "torch.uint16 on the CPU: call `mask.to(torch.uint8)`"
            )
        if mask.ndim not in (2, 3):
            raise TypeError(f"a mask of shape {tuple(mask.shape)} is not HW, nor masks NHW")
        plain = mask.as_subclass(torch.Tensor)
        result = plain.clone(memory_format=torch.contiguous_format)
        shape = tuple(result.shape)
        is_bool = result.dtype == torch.bool
        self._add_labels(result.data_ptr(), result.element_size(), shape, is_bool=is_bool)
        self._results[id(mask)] = lambda: self._wrapped(result, mask)

    def _add_tv_boxes(self, boxes: Any) -> None:
        name = boxes.format.name
        if name not in ("XYXY", "XYWH", "CXCYWH"):
            raise TypeError(f"boxes of format {name} cannot be moved, only of XYXY, XYWH and CXCYWH")
        self._set_size(boxes)
        corners = []
        for a, b, c, d in boxes.tolist():
            if name == "XYWH":
                a, b, c, d = a, b, a + c, b + d
            elif name == "CXCYWH":
                a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
            corners.append((a, b, c, d))
        start = self._add_boxes(corners)

        def moved() -> Any:
            rows = []
            for left, top, right, bottom, _ in self._moved[0][start : start + len(corners)]:
                if name == "XYWH":
                    rows.append((left, top, right - left, bottom - top))
                elif name == "CXCYWH":
                    middle = (left + right) / 2, (top + bottom) / 2
                    rows.append((*middle, right - left, bottom - top))
                else:
                    rows.append((left, top, right, bottom))
            return self._wrapped(self._tensor_like(boxes, rows), boxes)

        self._results[id(boxes)] = moved

    def _add_tv_points(self, points: Any) -> None:
        self._set_size(points)
        start, flat = len(self._native.points), points.reshape(-1, 2).tolist()
        self._native.points.extend((float(x), float(y), True) for x, y in flat)

        def moved() -> Any:
            rows = [(x, y) for x, y, _ in self._moved[1][start : start + len(flat)]]
            return self._wrapped(self._tensor_like(points, rows), points)

        self._results[id(points)] = moved

    def _add_boxes(self, boxes: list[Any]) -> int:
        start = len(self._native.boxes)
        self._native.boxes.extend((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes)
        return start

    def _set_size(self, value: Any) -> None:
        size = tuple(value.canvas_size)
        if self._size not in (None, size):
            raise ValueError(f"boxes and keypoints are of images of {self._size} and of {size}")
        self._size = size

    @staticmethod
    def _tensor_like(value: Any, rows: list[Any]) -> Any:
        torch = sys.modules["torch"]
        dtype = value.dtype if value.dtype.is_floating_point else torch.float32
        return torch.tensor(rows, dtype=dtype, device=value.device).reshape(value.shape)

    @staticmethod
    def _wrapped(result: Any, like: Any) -> Any:
        return sys.modules["torchvision.tv_tensors"].wrap(result, like=like)
