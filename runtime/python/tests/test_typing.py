"""The package's annotations are consistent, and the stubs are those of the extension."""

import subprocess
import sys
from pathlib import Path

import faa

PROJECT = Path(__file__).parents[1]


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    return done.returncode, done.stdout


def test_the_package_is_well_typed(tmp_path):
    code, output = run("mypy", "--cache-dir", tmp_path, PROJECT / "python/faa")
    assert code == 0, output


def test_stubs_are_those_of_the_extension(tmp_path):
    # Only a file tells it where its cache is, which would else be in the checkout.
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\ncache_dir = {tmp_path / 'cache'}\n")
    code, output = run("mypy.stubtest", "--mypy-config-file", config, "faa._faa")
    assert code == 0, output


def test_types_are_known_to_programs(tmp_path):
    program = tmp_path / "program.py"
    lines = """\
from typing import Any, assert_type

import faa

policy = faa.load("randaugment")
assert_type(policy, faa.Policy)
assert_type(policy([1], seed=1), list[int])
assert_type(policy(image=1), dict[str, Any])
policy(1, seed="no")
"""
    program.write_text(lines)
    code, output = run("mypy", "--cache-dir", tmp_path / "cache", "--strict", program)
    errors = [line.split(":")[1] for line in output.splitlines() if ": error:" in line]
    # The last line is wrong, and no other.
    assert (code, errors) == (1, ["9"]), output
    assert (Path(faa.__file__).parent / "py.typed").exists()
