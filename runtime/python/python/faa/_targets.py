"""Masks, boxes, keypoints and further images that move along with an image.

As in `_images`, NumPy and torch are never imported here.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite, prod
from typing import Any, Literal, NamedTuple, TypeAlias

from faa._boxes import FORMATS, Edges, Rotated, Turned
from faa._images import Work, _kind, handler_of, no_image, on_clips

_SCALARS = (int, float, str, bytes)

#: The keys of a sample whose images and NumPy arrays move along.
_KEYS = ("images", "mask", "masks", "bboxes", "rotated_bboxes", "keypoints")

#: NumPy's boxes, by their keys: the format, and what its columns are.
_ARRAYS = {
    "bboxes": ("XYXY", 4, "left, top, right, bottom"),
    "rotated_bboxes": ("CXCYWHR", 5, "x and y of the centre, width, height, angle"),
}


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
        if not 0 <= self.min_visible <= 1:
            raise ValueError(f"`min_visible` must be from 0 to 1, and is {self.min_visible}")
        if not (self.min_size >= 0 and isfinite(self.min_size)):
            raise ValueError(f"`min_size` must be a length in pixels, and is {self.min_size}")


class Native(NamedTuple):
    """Targets as the native part takes them."""

    masks: list[tuple[int, int, int, int, int]]
    boxes: list[Edges]
    rotated_boxes: list[Rotated]
    points: list[tuple[float, float, bool]]
    min_visible: float
    min_size: float
    removed: bool


#: Boxes and rotated boxes, each with how much of it is visible, and points.
Moved: TypeAlias = tuple[
    list[tuple[float, float, float, float, float]],
    list[tuple[float, float, float, float, float, float]],
    list[tuple[float, float, bool]],
]

#: Moves what `Native` holds.
Move: TypeAlias = Callable[[Native], Moved]


class Moving:
    """The targets of one sample."""

    def __init__(self, options: TargetOptions) -> None:
        self._native = Native(
            [], [], [], [], options.min_visible, options.min_size, options.erased == "removed"
        )
        self._images: list[Any] = []
        self._has_targets = False
        self._fill = options.fill
        self._size: tuple[int, int] | None = None
        # By identity, how each becomes its result.
        self._results: dict[int, Callable[[], Any]] = {}
        self._moved: Any = None

    def has_images(self) -> bool:
        """Whether there are further images."""
        return bool(self._images)

    def has_targets(self) -> bool:
        """Whether there is anything else."""
        return self._has_targets

    def find(self, sample: tuple[Any, ...] | Mapping[Any, Any], image_key: Any) -> None:
        """Finds what moves in a sample besides its image: tv_tensors wherever they are, the rest by its keys."""
        if isinstance(sample, tuple):
            self._find(sample[1:])
            return
        for key, value in sample.items():
            if key == image_key or value is None:
                continue
            if key in _KEYS:
                self._add_entry(key, value)
            else:
                self._find(value)

    def _find(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for entry in value.values():
                self._find(entry)
        elif isinstance(value, tuple | list):
            # Long lists of tokens and the like are not searched.
            if value and not isinstance(value[0], _SCALARS):
                for entry in value:
                    self._find(entry)
        elif (add := self._adder(value)) is not None:
            add(value)

    def move(self, move: Move, size: tuple[int, int]) -> None:
        """Moves all but the images along with an image of this height and width."""
        if self._size not in (None, size):
            raise ValueError(
                f"the boxes or keypoints are those of an image of {self._size}, and not of {size}"
            )
        self._moved = move(self._native)

    def result(self, sample: Any, augment: Work) -> Any:
        """The sample with everything that was moved, further images by `augment`."""
        for image in self._images:
            handler = handler_of(type(image)) or no_image(image)
            self._results[id(image)] = partial(_itself, handler(image, None, on_clips(augment)))
        return self._replaced(sample)

    def _replaced(self, sample: Any) -> Any:
        if (make := self._results.get(id(sample))) is not None:
            return make()
        if isinstance(sample, Mapping):
            moved = {key: self._replaced(value) for key, value in sample.items()}
            unchanged = all(moved[key] is value for key, value in sample.items())
            return sample if unchanged else moved
        if isinstance(sample, tuple | list):
            values = [self._replaced(value) for value in sample]
            if all(new is old for new, old in zip(values, sample, strict=True)):
                return sample
            return getattr(type(sample), "_make", type(sample))(values)
        return sample

    def _add_entry(self, key: str, value: Any) -> None:
        if key == "images":
            for image in value if isinstance(value, tuple | list) else [value]:
                self._add_image(image)
        elif (add := self._adder(value)) is not None:
            add(value)
        elif key == "masks" and isinstance(value, tuple | list):
            for mask in value:
                self._add_entry("mask", mask)
        elif key in ("mask", "masks"):
            self._array(value, "a mask", ("uint8", "uint16", "bool"))
            self._add_mask(value, value.copy("C"))
        elif key in _ARRAYS:
            self._array(value, "boxes", None)
            name, columns, meaning = _ARRAYS[key]
            if value.ndim != 2 or value.shape[1] != columns:
                raise TypeError(f"boxes of shape {value.shape} are not N×{columns}: {meaning}")
            rows = self._add_boxes(name, value.tolist())
            self._add(value, lambda: self._array_like(value, rows()))
        else:
            self._array(value, "keypoints", None)
            if value.ndim < 2 or value.shape[-1] not in (2, 3):
                raise TypeError(
                    f"keypoints of shape {value.shape} are not N×2 or N×3, nor M×N×2 or M×N×3: x, y, visible"
                )
            self._add_points(value)

    def _add(self, value: Any, result: Callable[[], Any]) -> None:
        self._results[id(value)] = result
        self._has_targets = True

    def _add_points(self, value: Any) -> None:
        columns = value.shape[-1]
        given = value.reshape(-1, columns).tolist()
        start = len(self._native.points)
        self._native.points.extend(
            (float(x), float(y), not rest or rest[0] > 0) for x, y, *rest in given
        )

        def points() -> Any:
            moved = self._moved[2][start : start + len(given)]
            # What visible points have in the third column stays.
            rows = [
                (x, y, old[2] if seen else 0) if columns == 3 else (x, y)
                for (x, y, seen), old in zip(moved, given, strict=True)
            ]
            return self._array_like(value, rows)

        self._add(value, points)

    def _add_image(self, image: Any) -> None:
        if handler_of(type(image)) is None:
            no_image(image)
        self._images.append(image)

    def _adder(self, value: Any) -> Callable[[Any], None] | None:
        tensors = sys.modules.get("torchvision.tv_tensors")
        if tensors is None:
            return None
        for name, add in (
            ("Mask", self._add_tv_mask),
            ("BoundingBoxes", self._add_tv_boxes),
            ("KeyPoints", self._add_tv_points),
            ("Image", self._add_image),
            ("Video", self._add_image),
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
        if mask.ndim < 2:
            raise TypeError(f"a mask of shape {mask.shape} is not HW, nor masks NHW")
        address = result.__array_interface__["data"][0]
        self._add_labels(address, result.itemsize, result.shape, is_bool=result.dtype == "bool")
        self._add(mask, lambda: result)

    def _add_labels(
        self, address: int, itemsize: int, shape: tuple[int, ...], *, is_bool: bool
    ) -> None:
        if not 0 <= self._fill < (2 if is_bool else 1 << 8 * itemsize):
            raise ValueError(f"`fill` must be a label of the mask, and is {self._fill}")
        *count, height, width = shape
        for index in range(prod(count)):
            offset = index * height * width * itemsize
            self._native.masks.append((address + offset, itemsize, height, width, self._fill))

    def _add_tv_mask(self, mask: Any) -> None:
        torch = sys.modules["torch"]
        if mask.dtype not in (torch.uint8, torch.bool, torch.uint16) or mask.device.type != "cpu":
            raise TypeError(
                f"a mask of {mask.dtype} on {mask.device} cannot be moved, only of torch.uint8, torch.bool or "
                "torch.uint16 on the CPU: call `mask.to(torch.uint8)`"
            )
        if mask.ndim < 2:
            raise TypeError(f"a mask of shape {tuple(mask.shape)} is not HW, nor masks NHW")
        plain = mask.as_subclass(torch.Tensor)
        result = plain.clone(memory_format=torch.contiguous_format)
        shape = tuple(result.shape)
        is_bool = result.dtype == torch.bool
        self._add_labels(result.data_ptr(), result.element_size(), shape, is_bool=is_bool)
        self._add(mask, lambda: self._wrapped(result, mask))

    def _add_tv_boxes(self, boxes: Any) -> None:
        name = boxes.format.name
        if name not in FORMATS:
            raise TypeError(
                f"boxes of format {name} cannot be moved, only of {', '.join(FORMATS)}"
            )
        self._set_size(boxes)
        rows = self._add_boxes(name, boxes.tolist())
        self._add(boxes, lambda: self._wrapped(self._tensor_like(boxes, rows()), boxes))

    def _add_tv_points(self, points: Any) -> None:
        self._set_size(points)
        start, flat = len(self._native.points), points.reshape(-1, 2).tolist()
        self._native.points.extend((float(x), float(y), True) for x, y in flat)

        def moved() -> Any:
            rows = [(x, y) for x, y, _ in self._moved[2][start : start + len(flat)]]
            return self._wrapped(self._tensor_like(points, rows), points)

        self._add(points, moved)

    def _add_boxes(self, name: str, rows: list[Any]) -> Callable[[], list[Any]]:
        """Adds boxes of a format, and returns how they are got once they were moved."""
        to_native, of_native = FORMATS[name]
        part = 1 if isinstance(FORMATS[name], Turned) else 0
        native: list[Any] = (self._native.boxes, self._native.rotated_boxes)[part]
        given, start = [to_native(row) for row in rows], len(native)
        native.extend(given)

        def moved() -> list[Any]:
            boxes = [box[:-1] for box in self._moved[part][start : start + len(rows)]]
            # One that was not moved is not rounded either.
            return [
                row if box == old else of_native(box)
                for row, old, box in zip(rows, given, boxes, strict=True)
            ]

        return moved

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


def _itself(value: Any) -> Any:
    return value
