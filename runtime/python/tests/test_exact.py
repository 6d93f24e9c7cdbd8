"""The same bytes as from the command line and the C library, and as Pillow's.

The tests of the C library compare it with the executor in Rust.
"""

import json
import subprocess

import numpy as np
import pictures
import pytest
from conftest import ROOT, SHAPES, image
from PIL import Image

import faa


@pytest.mark.parametrize("name", faa.shipped())
def test_images_are_those_of_the_command_line_and_of_c(name, command_line, c_library, tmp_path):
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
        expected = np.asarray(Image.open(tmp_path / "out" / f"{index}.png"))
        found = policy(pixels, seed=seed, epoch=0, index=index)
        assert found.tobytes() == expected.tobytes(), index
        by_c = c_library.augmented(name, pixels, seed, 0, index)
        assert by_c.tobytes() == expected.tobytes(), index
        changed += found.tobytes() != pixels.tobytes()
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
