import os
import sys
from pathlib import Path

import c
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]

# Test images that the tests in Rust have too.
sys.path.insert(0, str(ROOT / "tests/oracle"))

import pictures  # noqa: E402

SHAPES = {"L": (), "RGB": (3,), "RGBA": (4,)}


def image(kind="grain", seed=1, width=37, height=29, mode="RGB"):
    """A test image, HW or HWC."""
    samples = pictures.picture(kind, seed, width, height, mode)
    return np.frombuffer(samples, np.uint8).reshape(height, width, *SHAPES[mode])


def batch(count, width=32, height=32, mode="RGB"):
    """Test images of one shape, NHWC."""
    images = [image(seed=seed, width=width, height=height, mode=mode) for seed in range(count)]
    return np.stack(images).reshape(count, height, width, -1)


@pytest.fixture(scope="session")
def command_line():
    """The path of the program `faa-runtime`, which `cargo xtask test` sets."""
    return os.environ["FAA_RUNTIME"]


@pytest.fixture(scope="session")
def rust_example():
    """The path of `runtime/policy/examples/keyed.rs` as a program, which `cargo xtask test` sets."""
    return os.environ["FAA_EXAMPLE"]


@pytest.fixture(scope="session")
def c_library():
    """The C library, whose path `cargo xtask test` sets."""
    return c.Library(os.environ["FAA_LIBRARY"])
