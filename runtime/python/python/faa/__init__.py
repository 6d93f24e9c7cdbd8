"""Image augmentation policies: exact, keyed by sample, fast.

`Policy` is a policy that is applied to PIL images, NumPy arrays and torch tensors. What it draws depends on
seed, epoch and index alone, and is the same in Rust, in C and on the command line.
"""

from faa._faa import PolicyError, __version__
from faa._ops import Op, Plugins, load_plugins, ops
from faa._policy import Policy, convert, load, loads, shipped
from faa._targets import TargetOptions

__all__ = [
    "Op",
    "Plugins",
    "Policy",
    "PolicyError",
    "TargetOptions",
    "__version__",
    "convert",
    "load",
    "load_plugins",
    "loads",
    "ops",
    "shipped",
]
