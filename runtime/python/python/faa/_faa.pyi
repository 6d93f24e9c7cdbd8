"""The native part: policies over raw buffers. Private; `faa.Policy` is its interface."""

from collections.abc import Sequence
from os import PathLike
from typing import TypeAlias, final

from typing_extensions import Buffer, CapsuleType

from faa._targets import Moved, Native

__all__ = ["Executor", "Ops", "PolicyError", "__version__", "convert", "frame_seed", "shipped"]

__version__: str

# An object with a buffer of bytes; or an address or a capsule of Arrow, a shape, and strides in bytes.
_Memory: TypeAlias = Buffer | tuple[int | CapsuleType, tuple[int, ...], tuple[int, ...]]

class PolicyError(ValueError):
    path: str

@final
class Ops:
    def __new__(
        cls,
        folders: Sequence[str | PathLike[str]],
        *,
        allow_native: bool,
        memory_mib: int,
        total_memory_mib: int,
        call_seconds: float,
    ) -> Ops: ...
    @property
    def is_inherited(self) -> bool: ...
    def rows(
        self,
    ) -> list[
        tuple[str, str, tuple[float, float] | None, str | None, bool, bool, PathLike[str] | None]
    ]: ...
    def digests(self) -> list[tuple[str, str]]: ...
    def broken(self) -> list[tuple[PathLike[str], str]]: ...

@final
class Executor:
    def __new__(cls, json: bytes, ops: Ops) -> Executor: ...
    @property
    def json(self) -> str: ...
    @property
    def partner_op(self) -> str | None: ...
    @property
    def is_inherited(self) -> bool: ...
    def apply(
        self,
        source: _Memory,
        result: _Memory,
        layout: str,
        seed: int,
        epoch: int,
        index: int,
        indices: Sequence[int] | None = None,
        threads: int = 1,
        partners: _Memory | None = None,
    ) -> None: ...
    def apply_with_targets(
        self,
        source: _Memory,
        result: _Memory,
        layout: str,
        targets: Native,
        key: tuple[int, int, int] | None = None,
        plan: bytes | None = None,
        partners: _Memory | None = None,
    ) -> Moved: ...
    def plan(self, seed: int, epoch: int, index: int, partners: int) -> str: ...
    def replay(
        self,
        plan: bytes,
        source: _Memory,
        result: _Memory,
        layout: str,
        partners: _Memory | None = None,
    ) -> None: ...

def frame_seed(seed: int, frame: int) -> int: ...
def shipped() -> list[tuple[str, str]]: ...
def convert(json: bytes, name: str, ops: Ops) -> tuple[str, list[str]]: ...
