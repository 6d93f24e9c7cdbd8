"""The ops that policies are made of, and plugins that add to them."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from faa import _faa


@dataclass(frozen=True, slots=True)
class Op:
    """What an op does, and the values that it takes."""

    name: str
    summary: str
    #: The values at magnitude 0 and 1, in `unit`; `None` if the op has no value.
    low: float | None
    high: float | None
    unit: str | None
    #: Whether a drawn value's sign is flipped half of the time.
    mirrored: bool
    #: Whether it mixes in a partner image.
    needs_partner: bool
    #: The file of the plugin that it comes from; `None` for a built-in op.
    plugin: Path | None


class Plugins:
    """Plugins that were loaded, for `Policy.load(…, plugins=…)`. Made by `load_plugins`.

    They can be pickled: the other process loads the same folders, and fails if a module there is a
    different one. After a fork, the child loads them again when it needs them.
    """

    __slots__ = ("_arguments", "_native")

    def __init__(self, folders: tuple[str, ...], limits: tuple[tuple[str, Any], ...]) -> None:
        object.__setattr__(self, "_arguments", (folders, limits))
        object.__setattr__(self, "_native", _faa.Ops(folders, **dict(limits)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Plugins is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Plugins is frozen: {name} cannot be deleted")

    @property
    def sha256(self) -> dict[str, str]:
        """The names of the plugins' ops, each with the SHA-256 of its module or library."""
        return dict(self._ops().digests())

    @property
    def broken(self) -> dict[Path, str]:
        """The files that could not be loaded, each with the reason."""
        return {Path(path): reason for path, reason in self._ops().broken()}

    def _ops(self) -> _faa.Ops:
        if self._native.is_inherited:
            # A fork has copied the plugins' host without its thread.
            object.__setattr__(self, "_native", self._again()._native)
        return self._native

    def _again(self) -> "Plugins":
        return _load(*self._arguments, self._native.digests())

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (*self._arguments, self._native.digests())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plugins):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        return (*self._arguments, tuple(self._native.digests()))

    def __repr__(self) -> str:
        folders, limits = self._arguments
        arguments = [repr(folder) for folder in folders]
        arguments += [f"{name}={value!r}" for name, value in limits]
        return f"faa.load_plugins({', '.join(arguments)})"

    _arguments: tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]
    _native: _faa.Ops


def load_plugins(
    *folders: str | os.PathLike[str],
    allow_native: bool = False,
    memory_mib: int = 256,
    total_memory_mib: int = 4096,
    call_seconds: float = 10.0,
) -> Plugins:
    """Loads the plugins in some folders: WebAssembly modules, each in a sandbox with limits.

    `memory_mib` (1 to 4096) is the memory of a plugin and thread, `total_memory_mib` (1 to 1,048,576) that
    of all together, `call_seconds` (0.01 to 86,400) the time of one call. With `allow_native`, native
    libraries are loaded too, which run without a sandbox and without limits, with all rights of this
    process. Files that could not be loaded are in `Plugins.broken`.

    Plugins have a thread that measures time while their ops run.
    """
    limits = (
        ("allow_native", allow_native),
        ("memory_mib", memory_mib),
        ("total_memory_mib", total_memory_mib),
        ("call_seconds", call_seconds),
    )
    return Plugins(tuple(os.path.abspath(folder) for folder in folders), limits)


def _load(
    folders: tuple[str, ...], limits: tuple[tuple[str, Any], ...], digests: list[tuple[str, str]]
) -> Plugins:
    """Loads plugins that were loaded elsewhere, which must be the same."""
    plugins = Plugins(folders, limits)
    if plugins._native.digests() != digests:
        raise ValueError(f"the plugins in {', '.join(folders)} are not those that were loaded before")
    return plugins


def ops(plugins: Plugins | None = None) -> list[Op]:
    """The built-in ops, and those of the plugins."""
    return list(map(_op, native(plugins).rows()))


def _op(row: tuple[Any, ...]) -> Op:
    name, summary, limits, unit, mirrored, needs_partner, plugin = row
    low, high = limits or (None, None)
    plugin = None if plugin is None else Path(plugin)
    return Op(name, summary, low, high, unit, mirrored, needs_partner, plugin)


def native(plugins: Plugins | None) -> _faa.Ops:
    """The ops that policies with these plugins have."""
    return _builtin() if plugins is None else plugins._ops()


@cache
def _builtin() -> _faa.Ops:
    return _faa.Ops([], allow_native=False, memory_mib=1, total_memory_mib=1, call_seconds=1.0)
