"""Policies as values: loaded, compared, pickled, shown; and the ops that they have."""

import json
import pickle
import subprocess
import sys
import tomllib

import numpy as np
import plugin
import pytest
from conftest import ROOT, image

import faa

SMALL = """{"format": "faa-policy", "version": 1, "name": "small", "sub_policies": [
    [{"op": "Rotate", "probability": 0.8, "magnitude": 0.7},
     {"op": "Solarize", "probability": 0.25, "value": 100}]]}"""


def policies():
    shipped = [faa.load(name) for name in faa.shipped()]
    return [*shipped, faa.loads(SMALL), faa.loads(SMALL.replace("small", "' \\\" ü \\\\"))]


def test_the_version_is_that_of_the_workspace(command_line):
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert faa.__version__ == manifest["workspace"]["package"]["version"]
    printed = subprocess.run([command_line, "--version"], check=True, stdout=subprocess.PIPE, text=True)
    assert printed.stdout.split() == ["faa-runtime", faa.__version__]


def test_shipped_policies_are_those_of_the_repository():
    assert set(faa.shipped()) == {path.stem for path in (ROOT / "policies").glob("*.json")}
    for name in faa.shipped():
        path = ROOT / "policies" / f"{name}.json"
        assert faa.load(name) == faa.load(path) == faa.loads(path.read_bytes())
        assert faa.load(name).name == name


def test_policies_are_values():
    same = [policies(), policies(), pickle.loads(pickle.dumps(policies()))]
    same.append([eval(repr(policy), {"faa": faa}) for policy in policies()])
    same.append([faa.Policy.loads(policy.to_json()) for policy in policies()])
    for others in same:
        assert others == same[0]
        assert list(map(hash, others)) == list(map(hash, same[0]))
    assert len(set(sum(same, []))) == len(policies())
    assert repr(faa.load("randaugment")) == "faa.Policy.load('randaugment')"
    assert repr(faa.loads(SMALL)).startswith("faa.Policy.loads('{\"format\": \"faa-policy\"")
    assert faa.loads(SMALL) != SMALL
    for change in [lambda it: setattr(it, "name", "x"), lambda it: delattr(it, "_native")]:
        with pytest.raises(AttributeError):
            change(faa.loads(SMALL))


def test_errors_keep_their_place():
    for old, new, path in [
        ("0.7", "1.7", "sub_policies[0][0].magnitude"),
        ("Solarize", "Solarise", "sub_policies[0][1].op"),
        ('"version": 1', '"version": 2', "version"),
        ("SMALL", "SMALL", ""),
    ]:
        text = SMALL.replace(old, new) if path else "no JSON"
        with pytest.raises(faa.PolicyError) as caught:
            faa.loads(text)
        assert caught.value.path == path
        assert str(caught.value).startswith(path)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), again.path) == (faa.PolicyError, str(caught.value), path)
    assert issubclass(faa.PolicyError, ValueError)
    policy = faa.loads(SMALL)
    plan = {"steps": [{"step": 0, "op": "Rotate", "value": float("nan"), "seed": 1}]}
    with pytest.raises(faa.PolicyError, match="NaN"):
        policy.replay(image(), plan)
    plan["steps"][0].update(op="Rotat", value=1.0)
    with pytest.raises(faa.PolicyError) as caught:
        policy.replay(image(), plan)
    assert caught.value.path == "steps[0].op"
    with pytest.raises(TypeError, match=r"a plan is a dict.*json\.loads"):
        policy.replay(image(), json.dumps(plan))
    for text in ["\ud800", b"\xff\xfe", "x" * (2 << 20)]:
        with pytest.raises(faa.PolicyError):
            faa.loads(text)


def test_files_are_read(tmp_path):
    (tmp_path / "small.json").write_text(SMALL)
    assert faa.load(tmp_path / "small.json") == faa.load(str(tmp_path / "small.json")) == faa.loads(SMALL)
    with pytest.raises(FileNotFoundError) as caught:
        faa.load("randaugmemt")
    assert "randaugment" in caught.value.__notes__[0]
    # And not what is open under a number.
    with pytest.raises(TypeError):
        faa.load(0)
    (tmp_path / "large.json").write_bytes(b" " * (1 << 21))
    with pytest.raises(faa.PolicyError, match="too many"):
        faa.load(tmp_path / "large.json")


def test_policies_of_other_programs_are_converted():
    text = json.dumps([[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]]])
    converted = faa.Policy.convert(text, name="mine")
    assert converted.name == "mine"
    assert [step["op"] for step in json.loads(converted.to_json())["sub_policies"][0]] == [
        "Contrast",
        "TranslateX",
    ]
    with pytest.warns(UserWarning, match="does not keep the order"):
        faa.convert('{"0": {"Color": [0.79, 0.55], "Invert": [0.1, "None"]}}')
    with pytest.raises(faa.PolicyError) as caught:
        faa.convert(text.replace("Contrast", "Contrasd"))
    assert caught.value.path == "[0][0][0]"


def test_ops_are_those_of_the_command_line(command_line):
    printed = subprocess.run([command_line, "ops", "--json"], check=True, stdout=subprocess.PIPE)
    own = [
        {
            **{key: getattr(op, key) for key in ("name", "summary", "low", "high", "unit", "mirrored")},
            "source": "built-in" if op.plugin is None else str(op.plugin),
        }
        for op in faa.ops()
    ]
    assert own == json.loads(printed.stdout)
    assert [op.name for op in faa.ops() if op.needs_partner] == ["SamplePairing"]


@pytest.fixture
def plugins(tmp_path):
    (tmp_path / "test.wasm").write_bytes(plugin.assemble())
    (tmp_path / "broken.wasm").write_bytes(b"broken")
    return faa.load_plugins(tmp_path, memory_mib=2, call_seconds=0.05)


def test_plugins_have_ops(plugins, tmp_path):
    assert [op.name for op in faa.ops(plugins) if op.plugin] == plugin.OPS
    assert len(faa.ops(plugins)) == len(faa.ops()) + 2
    assert list(plugins.sha256) == plugin.OPS
    assert list(plugins.broken) == [tmp_path / "broken.wasm"]
    with pytest.raises(faa.PolicyError, match="no op is named `Grey`"):
        faa.loads(policy_of("Grey"))
    policy = faa.loads(policy_of("Grey"), plugins=plugins)
    for other in [
        pickle.loads(pickle.dumps(policy)),
        eval(repr(policy), {"faa": faa}),
    ]:
        assert other == policy and hash(other) == hash(policy)
        result = other(image(), seed=1)
        assert (result == 7).all() and result.shape == image().shape
    assert policy.plugins == plugins != faa.load_plugins(tmp_path, memory_mib=3)

    pickled = pickle.dumps(policy)
    (tmp_path / "test.wasm").write_bytes(plugin.assemble(level=8))
    with pytest.raises(ValueError, match="not those that were loaded before"):
        pickle.loads(pickled)
    (tmp_path / "test.wasm").unlink()
    with pytest.raises(ValueError, match="not those that were loaded before"):
        pickle.loads(pickled)
    with pytest.raises(OSError):
        faa.load_plugins(tmp_path / "missing")


def test_limits_of_plugins_hold(plugins, tmp_path):
    endless = faa.loads(policy_of("Endless"), plugins=plugins)
    with pytest.raises(RuntimeError, match="Endless.*0.05 s"):
        endless(image(), seed=1)
    for limit in ["memory_mib", "total_memory_mib", "call_seconds"]:
        with pytest.raises(ValueError, match="limit"):
            faa.load_plugins(tmp_path, **{limit: 0})


def policy_of(op):
    step = {"op": op, "probability": 1}
    return json.dumps({"format": "faa-policy", "version": 1, "name": op, "sub_policies": [[step]]})


def test_importing_loads_nothing_else():
    script = "import sys, faa; print(*sorted({'numpy', 'torch', 'PIL'} & set(sys.modules)), 'none')"
    printed = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    assert printed.stdout.split() == [b"none"]


def test_an_array_is_augmented_where_pillow_is_missing():
    script = """
import sys
sys.modules["PIL"] = None
import numpy, faa
image = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)
print(faa.load("randaugment")(image, seed=4).tobytes().hex())
"""
    printed = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert printed.stdout.decode().strip() == faa.load("randaugment")(pixels, seed=4).tobytes().hex()
