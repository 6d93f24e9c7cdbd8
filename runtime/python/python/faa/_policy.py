"""Policies."""

import json
import os
import random
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Self, TypeVar, cast, overload

from faa import _faa
from faa._images import Work, array_layout, handler_of, no_image
from faa._ops import Plugins, native
from faa._targets import Moved, Moving, Native, TargetOptions

Sample = TypeVar("Sample")
Batch = TypeVar("Batch")

#: One more than the largest file that can be a policy.
_MAX_BYTES = (1 << 20) + 1

#: More than any machine has use for; each pool has a stack for every thread.
_MAX_THREADS = 1024


class Policy:
    """A policy, ready to be applied: frozen, hashable and picklable, for any number of threads.

    Made by `Policy.load`, `Policy.loads` and `Policy.convert`. Called with an image, it returns an
    augmented one of the same shape: a PIL image of the same mode, a NumPy array, a tensor, or the tv_tensor
    that torchvision has for it. For other subclasses of these, such as `numpy.memmap`, it returns the plain
    type.
    """

    __slots__ = ("__weakref__", "_native", "_plugins")

    _native: _faa.Executor
    _plugins: Plugins | None

    def __init__(self, text: str | bytes, plugins: Plugins | None = None) -> None:
        """A policy from its file's content; the same as `loads`."""
        data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        object.__setattr__(self, "_native", _faa.Executor(data, native(plugins)))
        object.__setattr__(self, "_plugins", plugins)

    @classmethod
    def load(
        cls, name: str | os.PathLike[str], *, plugins: Plugins | None = None
    ) -> Self:
        """The shipped policy of that name, or the policy in that file."""
        if isinstance(name, str) and name in _shipped():
            return cls(_shipped()[name], plugins)
        try:
            # A number would be a file that is open.
            with open(os.fspath(name), "rb") as file:
                return cls(file.read(_MAX_BYTES), plugins)
        except FileNotFoundError as error:
            names = ", ".join(_shipped())
            error.add_note(f"there is no shipped policy of that name either; those are {names}")
            raise

    @classmethod
    def loads(cls, text: str | bytes, *, plugins: Plugins | None = None) -> Self:
        """A policy from its file's content."""
        return cls(text, plugins)

    @classmethod
    def convert(
        cls, text: str | bytes, *, name: str = "converted", plugins: Plugins | None = None
    ) -> Self:
        """A policy that Fast AutoAugment's published code wrote, in the list form or that of a port.

        Warns of what that format could not express.
        """
        data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        converted, lost = _faa.convert(data, name, native(plugins))
        for warning in lost:
            warnings.warn(warning, stacklevel=2)
        return cls(converted, plugins)

    def to_json(self) -> str:
        """The policy as a file."""
        return self._native.json

    @property
    def name(self) -> str:
        """The policy's name."""
        name: str = json.loads(self._native.json)["name"]
        return name

    @property
    def plugins(self) -> Plugins | None:
        """The plugins whose ops it may use."""
        return self._plugins

    @overload
    def __call__(
        self,
        sample: Sample,
        /,
        *,
        seed: int | None = None,
        epoch: int = 0,
        index: int = 0,
        frame: int | None = None,
        out: Any = None,
        partners: Any = None,
        target_options: TargetOptions | None = None,
    ) -> Sample: ...
    @overload
    def __call__(
        self,
        *,
        seed: int | None = None,
        epoch: int = 0,
        index: int = 0,
        frame: int | None = None,
        out: Any = None,
        partners: Any = None,
        target_options: TargetOptions | None = None,
        **entries: Any,
    ) -> dict[str, Any]: ...
    def __call__(
        self,
        *samples: Any,
        seed: int | None = None,
        epoch: int = 0,
        index: int = 0,
        frame: int | None = None,
        out: Any = None,
        partners: Any = None,
        target_options: TargetOptions | None = None,
        **entries: Any,
    ) -> Any:
        """Augments an image, or the image of a sample.

        - A PIL image of mode L, RGB or RGBA; a NumPy array of uint8, HW or HWC; a tensor of uint8 on the
          CPU, HW or CHW. The result is new, or `out`, which may be the image itself.
        - NHWC or NCHW: image `i` has the index `index + i`. All frames of a `Video` of torchvision have one draw.
        - A tuple whose first entry is an image, or a dict with an `image` (or `img`). Keywords are such a dict:
          `policy(image=x)["image"]`. What moves along with the image is moved; other entries are passed through.

        These move: torchvision's `Mask`, `BoundingBoxes` and `KeyPoints`, and further `Image`s and `Video`s, also
        within dicts, tuples and lists; and in a dict NumPy arrays under the keys `mask` (HW or NHW, of uint8, uint16 or
        bool), `masks` (likewise, or a list of them), `bboxes` (N×4: left, top, right, bottom), `rotated_bboxes` (N×5:
        x and y of the centre, width, height, and the angle in degrees, counter-clockwise) and `keypoints` (N×2 or
        N×3: x, y, and whether it is visible), and under `images` further images of any kind and size, such as that of
        a second camera, a depth map or a clip: all of them have the draw of the image.
        Positions are in pixels from the edges of the image, so the centre of its first pixel is (½, ½). Boxes that
        are dropped become 0. `target_options` has the rest, such as the label of what comes from outside the image.

        With a `seed`, the result depends on seed (0 to 2⁶⁴ − 1), epoch (0 to 2³² − 2), index
        (0 to 2⁶⁴ − 1) and image alone. Without, the seed is drawn from torch's generator where torch is
        loaded, and else from `random`'s. Frames of one index that are to have different draws are calls with
        different `frame`s (0 to 2³² − 1), which is then part of the key.

        `partners` are the images that ops such as SamplePairing mix in: a contiguous NHWC array of uint8.
        """
        if len(samples) + bool(entries) != 1:
            raise TypeError(
                "expected one sample, or its entries as keywords; "
                f"got {len(samples)} samples and the keywords {list(entries)}"
            )
        sample = samples[0] if samples else entries
        if seed is None:
            if epoch or index or frame is not None:
                raise TypeError("`epoch`, `index` and `frame` are parts of a key: give a `seed` too")
            seed = _random_seed()
        _check_partners(partners)
        apply = self._executor().apply
        key = _seed_of(seed, frame)
        sample = _read_once(sample)
        moving = _moving(sample, target_options)

        def work(source: Any, result: Any, layout: str) -> None:
            apply(source, result, layout, key, epoch, index, None, 1, partners)

        try:
            if moving is None:
                return _apply(sample, out, work)
            own = (key, epoch, index)
            return _apply_moving(moving, sample, out, work, self._native, own, None, partners)
        except OverflowError:
            raise _range_error(key, epoch, [index]) from None

    def batch(
        self,
        images: Batch,
        *,
        seed: int,
        epoch: int = 0,
        indices: Sequence[int] | Any = None,
        threads: int = 1,
        out: Any = None,
        partners: Any = None,
    ) -> Batch:
        """Augments a batch: an NHWC array or an NCHW tensor of uint8.

        `indices` are those of the images in the data set, by default 0, 1, …: a sequence, an array or a
        tensor. Image `i` becomes what `policy(images[i], seed=seed, epoch=epoch, index=indices[i])` is.
        With more than one of `threads`, a pool of that many threads is made, and kept for later calls. Python's
        other threads run meanwhile.
        """
        if not 1 <= threads <= _MAX_THREADS:
            raise ValueError(f"`threads` must be from 1 to {_MAX_THREADS}, and is {threads}")
        if indices is not None:
            indices = indices.tolist() if hasattr(indices, "tolist") else list(indices)
        _check_partners(partners)
        apply = self._executor().apply

        def work(source: Any, result: Any, layout: str) -> None:
            if len(layout) != 4:
                raise TypeError(f"these images are {layout}: call the policy itself on a single image")
            layout = layout.replace("T", "N")
            try:
                apply(source, result, layout, seed, epoch, 0, indices, threads, partners)
            except OverflowError:
                raise _range_error(seed, epoch, indices or []) from None

        return cast(Batch, _apply_to_image(images, out, work))

    def plan(
        self,
        *,
        seed: int,
        epoch: int = 0,
        index: int = 0,
        frame: int | None = None,
        partners: int = 0,
    ) -> dict[str, Any]:
        """What will be applied with this key, if there are this many partners: ops, values and seeds."""
        seed = _seed_of(seed, frame)
        try:
            plan: dict[str, Any] = json.loads(self._executor().plan(seed, epoch, index, partners))
        except OverflowError:
            raise _range_error(seed, epoch, [index]) from None
        return plan

    def replay(
        self,
        sample: Sample,
        plan: Mapping[str, Any],
        *,
        out: Any = None,
        partners: Any = None,
        target_options: TargetOptions | None = None,
    ) -> Sample:
        """Applies a plan: the same bytes as from the policy that made it, for the same image and targets."""
        _check_partners(partners)
        if not isinstance(plan, Mapping):
            raise TypeError("a plan is a dict, as `plan` returns it: call `json.loads` on its text")
        replay, data = self._executor().replay, json.dumps(plan).encode()
        sample = _read_once(sample)
        moving = _moving(sample, target_options)

        def work(source: Any, result: Any, layout: str) -> None:
            replay(data, source, result, layout, partners)

        if moving is None:
            return cast(Sample, _apply(sample, out, work))
        applied = _apply_moving(moving, sample, out, work, self._native, None, data, partners)
        return cast(Sample, applied)

    def _executor(self) -> _faa.Executor:
        if self._plugins is not None and self._native.is_inherited:
            # After a fork: the plugins are loaded again.
            again = _faa.Executor(self._native.json.encode(), native(self._plugins))
            object.__setattr__(self, "_native", again)
        return self._native

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a policy is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a policy is frozen: {name} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._native.json, self._plugins)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Policy):
            return NotImplemented
        return (self._native.json, self._plugins) == (other._native.json, other._plugins)

    def __hash__(self) -> int:
        return hash((self._native.json, self._plugins))

    def __repr__(self) -> str:
        plugins = "" if self._plugins is None else f", plugins={self._plugins!r}"
        for name, text in _shipped().items():
            if text == self._native.json:
                return f"faa.Policy.load({name!r}{plugins})"
        return f"faa.Policy.loads({json.dumps(json.loads(self._native.json))!r}{plugins})"


load, loads, convert = Policy.load, Policy.loads, Policy.convert


def shipped() -> list[str]:
    """The names of the shipped policies."""
    return list(_shipped())


@cache
def _shipped() -> dict[str, str]:
    return dict(_faa.shipped())


def _read_once(sample: Any) -> Any:
    """A mapping may make its entries anew each time; what moves along is found by what it is."""
    if isinstance(sample, Mapping) and handler_of(type(sample)) is None:
        return dict(sample)
    return sample


def _moving(sample: Any, options: TargetOptions | None) -> Moving | None:
    """What moves along with the image of a sample; `None` if nothing does."""
    if handler_of(type(sample)) is not None or not isinstance(sample, tuple | Mapping):
        return None
    moving = Moving(options or TargetOptions())
    moving.find(sample, None if isinstance(sample, tuple) else _image_key(sample))
    return moving if moving.has_images() or moving.has_targets() else None


def _image_key(sample: Mapping[Any, Any]) -> str | None:
    return next((key for key in ("image", "img") if key in sample), None)


def _apply_moving(
    moving: Moving,
    sample: Any,
    out: Any,
    plain: Work,
    executor: _faa.Executor,
    key: tuple[int, int, int] | None,
    plan: bytes | None,
    partners: Any,
) -> Any:
    """Augments the image of a sample by a key or a plan, and moves along what moves; images alone by `plain`."""

    def work(source: Any, result: Any, layout: str) -> None:
        def move(targets: Native) -> Moved:
            return executor.apply_with_targets(source, result, layout, targets, key, plan, partners)

        shape = source.shape
        moving.move(move, (shape[layout.index("H")], shape[layout.index("W")]))

    def single(source: Any, result: Any, layout: str) -> None:
        # The images of a batch have a draw each; those of a plan have the same.
        if plan is None and layout[0] == "N" and source.shape[0] != 1:
            raise ValueError("further images move along with a single image or a clip, and not with a batch")
        plain(source, result, layout)

    applied = _apply(sample, out, work if moving.has_targets() else single)
    return moving.result(applied, plain)


def _apply(sample: Any, out: Any, work: Work) -> Any:
    if (handler := handler_of(type(sample))) is not None:
        return handler(sample, out, work)
    if isinstance(sample, tuple) and sample:
        entries = (_apply_to_image(sample[0], out, work), *sample[1:])
        # A named tuple stays one.
        make = getattr(type(sample), "_make", tuple)
        return make(entries)
    if isinstance(sample, Mapping):
        if (key := _image_key(sample)) is not None:
            return {**sample, key: _apply_to_image(sample[key], out, work)}
        keys = ", ".join(map(repr, sample))
        raise TypeError(f"the sample has neither an 'image' nor an 'img': its keys are {keys}")
    no_image(sample)


def _apply_to_image(image: Any, out: Any, work: Work) -> Any:
    handler = handler_of(type(image))
    return no_image(image) if handler is None else handler(image, out, work)


def _check_partners(partners: Any) -> None:
    if partners is not None:
        array_layout(partners, ("NHWC",), "`partners`")


def _random_seed() -> int:
    torch = sys.modules.get("torch")
    if torch is None:
        return random.getrandbits(63)
    return int(torch.randint(0x7FFF_FFFF_FFFF_FFFF, ()).item())


def _seed_of(seed: int, frame: int | None) -> int:
    """The seed of a key that a frame may be part of."""
    if frame is None:
        return seed
    try:
        return _faa.frame_seed(seed, frame)
    except OverflowError:
        if not 0 <= frame < 1 << 32:
            raise ValueError(f"`frame` must be from 0 to {(1 << 32) - 1}, and is {frame}") from None
        raise _range_error(seed, 0, []) from None


def _range_error(seed: Any, epoch: Any, indices: Sequence[Any]) -> ValueError:
    """Which number of a call was out of range."""
    numbers = [("seed", seed, 1 << 64), ("epoch", epoch, (1 << 32) - 1)]
    numbers += [("index", index, 1 << 64) for index in indices]
    for name, value, limit in numbers:
        if not 0 <= value < limit:
            return ValueError(f"`{name}` must be from 0 to {limit - 1}, and is {value}")
    return ValueError("a number is negative or too large")
