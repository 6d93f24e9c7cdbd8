"""The same bytes from Rust, C, Python and the command line, and as Pillow's."""

import json
import subprocess

import numpy as np
import pictures
import pytest
from conftest import ROOT, SHAPES, image
from PIL import Image

import faa


@pytest.mark.parametrize("name", faa.shipped())
def test_rust_c_python_and_the_command_line_have_one_digest(
    name, rust_example, c_library, command_line, tmp_path
):
    modes = ["L", "RGB", "RGBA"] * 4
    inputs = [image(seed=seed, mode=mode) for seed, mode in enumerate(modes)]
    for index, pixels in enumerate(inputs):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    names = [f"{index}.png" for index in range(len(modes))]
    seed = 2**64 - 3
    arguments = ["apply", "--policy", name, "--seed", str(seed), "--out", "out", *names]
    subprocess.run([command_line, *arguments], cwd=tmp_path, check=True)
    policy, changed = faa.load(name), 0
    for index, pixels in enumerate(inputs):
        height, width, channels = (*pixels.shape, 1)[:3]
        arguments = [name, *map(str, (width, height, channels, seed, 0, index))]
        by_rust = subprocess.run(
            [rust_example, *arguments], input=pixels.tobytes(), stdout=subprocess.PIPE, check=True
        )
        digests = {
            "Rust": pictures.digest(by_rust.stdout),
            "C": pictures.digest(c_library.augmented(name, pixels, seed, 0, index).tobytes()),
            "Python": pictures.digest(policy(pixels, seed=seed, epoch=0, index=index).tobytes()),
            "command line": pictures.digest(
                np.asarray(Image.open(tmp_path / "out" / f"{index}.png")).tobytes()
            ),
        }
        assert len(set(digests.values())) == 1, (index, digests)
        changed += digests["Rust"] != pictures.digest(pixels.tobytes())
    assert changed > len(modes) // 2


def test_plans_are_those_of_the_command_line_in_every_epoch(command_line, tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    Image.fromarray(image(seed=2)).save(tmp_path / "b.png")
    arguments = "apply --policy randaugment --seed 5 --grid 6 --json --out out a.png b.png"
    printed = subprocess.run(
        [command_line, *arguments.split()], cwd=tmp_path, check=True, stdout=subprocess.PIPE
    )
    policy = faa.load("randaugment")
    rows = json.loads(printed.stdout)
    assert len(rows) == 2
    for index, row in enumerate(rows):
        own = [policy.plan(seed=5, epoch=epoch, index=index) for epoch in range(6)]
        assert own == row["draws"]
        for epoch, plan in enumerate(own):
            replayed = policy.replay(image(), plan)
            assert (replayed == policy(image(), seed=5, epoch=epoch, index=index)).all()


def test_replayed_ops_have_the_pixels_of_the_goldens():
    pictures.check_known()
    policy, compared = faa.load("randaugment"), 0
    for line in (ROOT / "tests/goldens/ops.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        op, value, seed, width, height, mode, kind, own_seed, digest = line.split()
        width, height, own_seed = int(width), int(height), int(own_seed)
        if width * height > 300_000:
            continue  # They take most of the time; the tests in Rust have them.
        step = {"step": 0, "op": op, "value": 0.0 if value == "-" else float(value), "seed": int(seed)}
        partners = None
        if op == "SamplePairing":
            step["partner"] = 0
            samples = pictures.partner(own_seed, 0, width, height, mode)
            partners = np.frombuffer(samples, np.uint8).reshape(1, height, width, -1)
        pixels = image(kind, own_seed, width, height, mode)
        result = policy.replay(pixels, {"steps": [step]}, partners=partners)
        assert result.shape == (height, width, *SHAPES[mode])
        assert pictures.digest(result.tobytes()) == digest, line
        compared += 1
    assert compared > 4000
