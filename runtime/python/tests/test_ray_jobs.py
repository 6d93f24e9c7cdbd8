"""What the jobs of a run on Ray do on a node. `cargo xtask ray` tests them on clusters."""

import json

import pytest

from faa.ray import SetUpError, search
from faa.ray._job import Board, find_program, pack, unpack


def program(folder, monkeypatch, text):
    file = folder / "faa-runtime"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    monkeypatch.setenv("FAA_RUNTIME", str(file))
    return file


def test_the_program_is_found_by_its_version(tmp_path, monkeypatch, command_line):
    monkeypatch.setenv("FAA_RUNTIME", command_line)
    path, version = find_program()
    assert path == command_line
    assert find_program(version) == (path, version)
    for text in ["echo faa-runtime 9.9.9"]:
        program(tmp_path, monkeypatch, text)
        with pytest.raises(SetUpError, match=f"9.9.9, the driver {version}: install"):
            find_program(version)
    for variable, value in [("FAA_RUNTIME", "/nonexistent/faa-runtime"), ("PATH", "")]:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SetUpError, match="has no faa-runtime: install"):
            find_program()


def test_arguments_need_a_run_directory(command_line, monkeypatch):
    monkeypatch.setenv("FAA_RUNTIME", command_line)
    for arguments in [[], ["--data", "glyphs"], ["--out"]]:
        with pytest.raises(ValueError, match="lack --out"):
            search(arguments)


def test_networks_are_packed_before_logs(tmp_path):
    run = tmp_path / "run"
    for name in [
        "run.json",
        "fold-0/epochs.jsonl",
        "fold-0/network.safetensors",
        "fold-1/epochs.jsonl",
    ]:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    data = pack(run, ["run.json", "fold-0", "missing"])
    assert data.index(b"network.safetensors") < data.index(b"epochs.jsonl")
    assert b"network" not in pack(run, ["fold-0"], networks=False)
    unpack(data, tmp_path / "copy")
    files = {
        it.relative_to(tmp_path / "copy") for it in (tmp_path / "copy").rglob("*") if it.is_file()
    }
    assert {str(it) for it in files} == {
        "run.json",
        "fold-0/epochs.jsonl",
        "fold-0/network.safetensors",
    }
    assert (tmp_path / "copy/run.json").read_text() == "run.json"


def test_the_board_counts_work_in_seconds():
    board = Board()
    board.start("fold-0", "a")
    rates = {"train": 100.0, "classify": 400.0}
    for event in [
        {"event": "epoch_done", "images": 100},
        {"event": "planned", "rates": rates, "estimated_seconds": 30.0, "images": [60, 20]},
        {"event": "epoch_done", "images": 200},
        {"event": "trial_done", "images": 1000},
    ]:
        board.event("fold-0", json.dumps(event))
    board.event("fold-0", "not JSON")
    job = board.jobs()["fold-0"]
    assert (job["host"], job["attempts"], job["done"], job["seconds"]) == ("a", 1, 4.5, 30.0)
    board.start("fold-0", "b")
    assert (board.jobs()["fold-0"]["attempts"], board.jobs()["fold-0"]["done"]) == (2, 0.0)
    board.keep("fold-0", b"x")
    assert (board.kept("fold-0"), board.kept("fold-1")) == (b"x", None)
