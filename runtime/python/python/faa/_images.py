"""What is an image, and how its memory looks.

NumPy, torch and Pillow are never imported here: an object of theirs exists only if its package is loaded.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

#: Changes images: given the source's memory, the result's, and the layout of both.
Work: TypeAlias = Callable[[Any, Any, str], None]
#: Makes an image's result with some work, in `out` if that is given.
Handler: TypeAlias = Callable[[Any, Any, Work], Any]

#: Those that were found. A type of images exists only after its package was loaded, so a type that is
#: none of images stays that.
_handlers: dict[type, Handler | None] = {}

_MODES = {"L": 1, "RGB": 3, "RGBA": 4}


def handler_of(kind: type) -> Handler | None:
    """The function for images of a type; `None` if it is not one of images."""
    try:
        return _handlers[kind]
    except KeyError:
        return _handlers.setdefault(kind, _find_handler(kind))


def _find_handler(kind: type) -> Handler | None:
    for package, name, handler in (
        # A subclass before its base.
        ("numpy.ma", "MaskedArray", _masked),
        ("numpy", "ndarray", _array),
        ("torchvision.tv_tensors", "Image", _tv_tensor),
        ("torchvision.tv_tensors", "Video", _tv_video),
        ("torchvision.tv_tensors", "TVTensor", _target),
        ("torch", "Tensor", _tensor),
        ("PIL.Image", "Image", _pil),
    ):
        base = getattr(sys.modules.get(package), name, None)
        if base is not None and issubclass(kind, base):
            return handler
    return None


def _array(image: Any, out: Any, work: Work) -> Any:
    layout = array_layout(image, ("HW", "HWC", "NHWC"))
    if out is None:
        out = sys.modules["numpy"].empty(image.shape, "uint8")
    else:
        array_layout(out, (layout,), "`out`")
    work(image, out, layout)
    return out


def _masked(image: Any, out: Any, work: Work) -> Any:
    raise TypeError(
        "a masked array cannot be augmented, since its mask would not be moved with it: call "
        "`image.filled()`, or pass `image.data`"
    )


def array_layout(image: Any, layouts: tuple[str, ...], name: str = "an array") -> str:
    """Checks a NumPy array, and returns which of the layouts it has."""
    if handler_of(type(image)) is not _array:
        raise TypeError(f"{name} must be a NumPy array, like the images, and not {_kind(image)}")
    if image.dtype != "uint8":
        advice = (
            "augment before images become floats, or call `(image * 255).round().astype('uint8')` on floats "
            "from 0 to 1"
            if image.dtype.kind == "f"
            else "call `image.astype('uint8')` on numbers from 0 to 255"
        )
        raise TypeError(f"{name} of {image.dtype} cannot be augmented, only of uint8: {advice}")
    for layout in layouts:
        if len(layout) == image.ndim:
            break
    else:
        raise TypeError(f"{name} of shape {image.shape} is not {' or '.join(layouts)}")
    if layout[-1] == "C" and image.shape[-1] not in (1, 3, 4):
        raise TypeError(
            f"{name} of shape {image.shape} is not {layout}: it must end in 1, 3 or 4 channels; for "
            "channels first, call `numpy.moveaxis(image, -3, -1)`"
        )
    return layout


def _tensor(image: Any, out: Any, work: Work) -> Any:
    layout = tensor_layout(image, ("HW", "CHW", "NCHW"))
    if out is None:
        # Keeps the order of the dimensions, so channels-last tensors stay what they are.
        out = sys.modules["torch"].empty_like(image)
    else:
        tensor_layout(out, (layout,), "`out`")
    work(_memory(image), _memory(out), layout)
    return out


def _tv_tensor(image: Any, out: Any, work: Work) -> Any:
    result = _tensor(image, out, work)
    if out is not None:
        return out
    # A plain tensor would mean something else to the transforms that follow.
    return sys.modules["torchvision.tv_tensors"].wrap(result, like=image)


def _tv_video(video: Any, out: Any, work: Work) -> Any:
    return _tv_tensor(video, out, on_clips(work))


def on_clips(work: Work) -> Work:
    """The same work, on the frames of a clip, which have one draw, in place of the images of a batch."""
    return lambda source, result, layout: work(source, result, layout.replace("N", "T"))


def _target(image: Any, out: Any, work: Work) -> Any:
    raise TypeError(
        f"{_kind(image)} is not an image, but says where something is in one: call the policy on the image, or on "
        "a sample that begins with it, in which this moves along"
    )


def tensor_layout(image: Any, layouts: tuple[str, ...], name: str = "a tensor") -> str:
    """Checks a tensor, and returns which of the layouts it has."""
    if handler_of(type(image)) not in (_tensor, _tv_tensor, _tv_video):
        raise TypeError(f"{name} must be a tensor, like the images, and not {_kind(image)}")
    torch = sys.modules["torch"]
    if image.device.type != "cpu":
        raise TypeError(
            f"{name} on {image.device} cannot be augmented: augment in the data loader, before the "
            "batch is sent there, or call `image.cpu()`"
        )
    if image.layout != torch.strided:
        raise TypeError(f"{name} of layout {image.layout} cannot be augmented: call `image.to_dense()`")
    if image.dtype != torch.uint8:
        advice = (
            "augment before images become floats, or call `(image * 255).round().to(torch.uint8)` on floats "
            "from 0 to 1"
            if image.is_floating_point()
            else "call `image.to(torch.uint8)` on numbers from 0 to 255"
        )
        raise TypeError(f"{name} of {image.dtype} cannot be augmented, only of torch.uint8: {advice}")
    for layout in layouts:
        if len(layout) == image.ndim:
            break
    else:
        raise TypeError(f"{name} of shape {tuple(image.shape)} is not {' or '.join(layouts)}")
    if "C" in layout and image.shape[-3] not in (1, 3, 4):
        raise TypeError(
            f"{name} of shape {tuple(image.shape)} is not {layout}: it must have 1, 3 or 4 channels; "
            "for channels last, call `image.movedim(-1, -3)`"
        )
    return layout


class _Memory(NamedTuple):
    """Memory without a buffer of Python: a tensor's, where NumPy is missing, or a PIL image's."""

    memory: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _memory(image: Any) -> _Memory:
    return _Memory(image.data_ptr(), tuple(image.shape), image.stride())


def _pil(image: Any, out: Any, work: Work) -> Any:
    if out is not None:
        raise TypeError("`out` is for arrays and tensors: a PIL image is returned as a new one")
    channels = _MODES.get(image.mode)
    if channels is None:
        mode = "RGBA" if image.mode in ("LA", "La", "PA", "RGBa") else "RGB"
        mode = "L" if image.mode in ("1", "I", "F") or image.mode.startswith("I;") else mode
        # Pillow converts La to nothing else.
        first = ".convert('LA')" if image.mode == "La" else ""
        raise TypeError(
            f"a PIL image of mode {image.mode} cannot be augmented, only of L, RGB and RGBA: "
            f"call `image{first}.convert({mode!r})`"
        )
    width, height = image.size
    if width == 0 or height == 0:
        raise ValueError(
            f"a PIL image of {width}×{height} pixels is empty: an image needs at least one row and one column"
        )
    shape = (height, width, channels)
    pillow = sys.modules["PIL.Image"]
    try:
        # From Pillow's memory to Pillow's memory, which has four bytes for a pixel of RGB: the native part
        # copies such pixels into three bytes for the ops, and back.
        result = pillow.new(image.mode, image.size, None)
        step = 1 if channels == 1 else 4
        source, target = (
            _Memory(it.__arrow_c_array__()[1], shape, (width * step, step, 1))
            for it in (image, result)
        )
    except (AttributeError, ValueError):
        # Before Pillow 11.2, or a large image, whose memory is in several parts.
        data = bytearray(height * width * channels)
        original = memoryview(image.tobytes()).cast("B", shape)
        work(original, memoryview(data).cast("B", shape), "HWC")
        result = pillow.frombytes(image.mode, image.size, data)
    else:
        work(source, target, "HWC")
    # As Pillow's own operations do.
    result.info = image.info.copy()
    return result


def no_image(sample: Any) -> NoReturn:
    """Says what to do with a sample that is not an image."""
    if isinstance(sample, list):
        raise TypeError(
            "a list is not an image: call the policy on each image, or `policy.batch` on an array of "
            "them, for example of `numpy.stack(images)`"
        )
    if isinstance(sample, bytes | bytearray | memoryview | str):
        raise TypeError(
            f"{_kind(sample)} is not an image: decode it first, for example with `PIL.Image.open`"
        )
    raise TypeError(
        f"{_kind(sample)} is not an image: expected a PIL image, a NumPy array or a torch tensor, or a "
        "tuple or dict with one"
    )


def _kind(value: Any) -> str:
    kind = type(value)
    name: str = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
