"""What the jobs of a run on Ray do on a node. `cargo xtask ray` tests them on clusters."""

import subprocess
import sys

import pytest

from faa.ray import JobError, SetUpError, search
from faa.ray._job import Store, _call, _read, _write, find_program


def program(folder, monkeypatch, text):
    file = folder / "faa-runtime"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    monkeypatch.setenv("FAA_RUNTIME", str(file))


def test_the_program_is_found_by_its_version(tmp_path, monkeypatch, command_line):
    monkeypatch.setenv("FAA_RUNTIME", command_line)
    path, version = find_program()
    assert path == command_line
    assert find_program(version) == (path, version)
    program(tmp_path, monkeypatch, "echo faa-runtime 9.9.9")
    with pytest.raises(SetUpError, match=f"9.9.9, the driver {version}: install .* {version} on"):
        find_program(version)
    # One that cannot start, as without a library.
    program(tmp_path, monkeypatch, "exit 127")
    with pytest.raises(SetUpError, match="has no faa-runtime .*127.*: install"):
        find_program()
    for variable, value in [("FAA_RUNTIME", "/nonexistent/faa-runtime"), ("PATH", "")]:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SetUpError, match="has no faa-runtime .*: install"):
            find_program()
        monkeypatch.delenv(variable)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "glyphs"], "--out <DIR>"),
        (["--out", "run"], "--data <SPEC>"),
        (["--data", "glyphs", "--out=run"], "add --final-seeds N"),
        (["--data", "glyphs", "--out", "run", "--threads", "x"], "invalid value 'x'"),
    ],
)
def test_wrong_arguments_are_found_before_a_cluster(
    tmp_path, monkeypatch, command_line, capfd, arguments, message
):
    monkeypatch.setenv("FAA_RUNTIME", command_line)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as error:
        search(arguments)
    assert error.value.returncode == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
    command = [sys.executable, "-m", "faa.ray", "search", "--", *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and message in done.stderr


def test_a_call_fails_with_its_last_words_and_waits_for_a_job_that_is_held(tmp_path):
    script = f"echo out; echo err >&2; test -e {tmp_path}/free && exit 0; touch {tmp_path}/free; exit"
    kept = []
    output = _call("fold-0", ["sh", "-c", f"{script} 75"], lambda: kept.append(1))
    assert output == "out\nout\n"
    assert len(kept) == 2, "once per attempt"
    with pytest.raises(JobError, match=r"fold-0 on .*: status 3\n2\n(.*\n)*21\n"):
        _call("fold-0", ["sh", "-c", "seq 1 21 >&2; exit 3"])


def test_a_call_has_a_pipe_that_ends_with_its_process(tmp_path):
    # As Ray cancels a task.
    script = f"read line || touch {tmp_path}/ended"
    code = "import faa.ray._job as it, os, signal, threading\n"
    code += "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
    code += f"it._call('fold-0', ['sh', '-c', {script!r}])\n"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert "KeyboardInterrupt" in done.stderr
    assert (tmp_path / "ended").exists()


def test_a_job_gets_what_it_needs_and_its_own_records(tmp_path):
    names = ["epochs.jsonl", "network.safetensors", "trials.jsonl"]
    files = [f"fold-{fold}/{name}" for fold in range(3) for name in names] + ["run.json"]
    run = tmp_path / "run"
    _write({name: name.encode() for name in files}, run)
    job = {"id": "fold-1", "needs": ["fold-0"], "files": ["run.json", "fold-1"]}
    given = Store(run, [], "/").get(job)
    assert sorted(given) == [
        "fold-0/epochs.jsonl",
        "fold-0/trials.jsonl",
        *(f"fold-1/{name}" for name in names),
        "run.json",
    ]
    _write(given, tmp_path / "copy")
    assert _read(tmp_path / "copy", ["."]) == given
    assert given["fold-1/trials.jsonl"] == b"fold-1/trials.jsonl"
    # A log that is read later may be longer than its checkpoint, and not shorter.
    assert next(iter(_read(run, ["fold-1", "missing"]))) == "fold-1/network.safetensors"


def test_what_does_not_belong_to_a_run_is_not_collected(tmp_path, command_line):
    run = tmp_path / "run"
    command = [command_line, "search", "--data", "glyphs", "--final-seeds", "1"]
    store = Store(run, command, str(tmp_path))
    job = {"id": "fold-0", "needs": [], "files": ["run.json", "fold-0"]}
    # A program that has not begun has written nothing.
    store.put(job, {})
    assert not run.exists()
    with pytest.raises(JobError, match="fold-0 cannot be collected: .*run.json"):
        store.put(job, {"run.json": b"{}"})
    store.put({**job, "files": []}, {"policy.json": b"{}"})
    assert (run / "policy.json").read_bytes() == b"{}"
