"""One job of a run on a node: a call of `faa-runtime`, in the process that Ray starts for it."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

# Exit status of a job that a different process holds, such as an attempt that is about to end.
HELD = 75
# How long a program may take to end, and a job be held by one that is ending, in seconds.
ENDING = 60.0
# How often a node without the run directory sends records, in seconds.
KEEPING = 30.0

# What is in files, by their paths in the run directory.
Files = dict[str, bytes]


class JobError(Exception):
    """A job failed or was lost; the message says why. The same call continues the run."""


class SetUpError(Exception):
    """A node lacks what a job needs; the message says what to install."""


def find_program(version: str | None = None) -> tuple[str, str]:
    """The program of this node, and its version, which must be the driver's `version`."""
    host, program = socket.gethostname(), os.environ.get("FAA_RUNTIME", "faa-runtime")
    try:
        done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True)
        found = done.stdout.strip().rpartition(" ")[2]
        if version in (None, found):
            return program, found
        lack = f"has faa-runtime {found}, the driver {version}"
    except (OSError, subprocess.CalledProcessError) as error:
        lack = f"has no faa-runtime ({error})"
    raise SetUpError(
        f"{host} {lack}: install faa-runtime and faa-runtime-torch of {version or 'one version'} on every node (cargo install "
        "--path runtime/cli, and runtime/torch), or set FAA_RUNTIME to the program before `ray start`"
    )


def run(job: dict[str, Any], version: str, arguments: Sequence[str], out: Path, store: Any) -> str:
    """Does a job on this node, which needs no folder `out` if there is a `Store`. Returns what the program prints."""
    own = [*map(os.path.expandvars, arguments), *job["arguments"]]
    command = [find_program(version)[0], *own, "--end-with-stdin", "--out"]
    if store is None:
        if not out.is_dir():
            host = socket.gethostname()
            raise SetUpError(f"{host} has no {out}: use a shared folder, or --object-store")
        return _call(job["id"], [*command, str(out)])
    import ray

    with tempfile.TemporaryDirectory(prefix="faa-ray-") as folder:
        part = Path(folder, "run")
        _write(ray.get(store.get.remote(job)), part)

        def keep() -> None:
            ray.get(store.put.remote(job, _read(part, job["files"] or ["."])))

        return _call(job["id"], [*command, str(part)], keep).replace(str(part), str(out))


def _call(name: str, command: Sequence[str], keep: Callable[[], None] = lambda: None) -> str:
    pipe, status, given_up = subprocess.PIPE, HELD, time.monotonic() + ENDING
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        while status == HELD and time.monotonic() < given_up:
            # When this process is killed, the pipe is closed, and the program ends too.
            process = subprocess.Popen(command, stdin=pipe, stdout=output, stderr=errors)
            kept_at = time.monotonic()
            try:
                # Ray cancels a task between two instructions of Python, so none may block for long.
                while process.poll() is None:
                    time.sleep(0.2)
                    if time.monotonic() > kept_at + KEEPING:
                        keep()
                        kept_at = time.monotonic()
            finally:
                try:
                    process.communicate(timeout=ENDING)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                keep()
            status = process.returncode
        output.seek(0)
        errors.seek(0)
        if status == 0:
            return output.read()
        last = "".join(errors.readlines()[-20:])
        raise JobError(f"{name} on {socket.gethostname()}: status {status}\n{last}")


class Store:
    """The run directory, for nodes that do not share it: an actor on the driver's node."""

    def __init__(self, out: Path, command: Sequence[str], folder: str) -> None:
        """`command` is the program with the options of the run, whose paths start at `folder`."""
        self._out, self._command, self._folder = out, command, folder

    def get(self, job: dict[str, Any]) -> Files:
        """The records that a job reads, and its own, from which it continues."""
        # Of jobs that are done, nobody needs the networks.
        needs = _read(self._out, ["run.json", "audit.json", *job["needs"]], networks=False)
        return {**needs, **_read(self._out, job["files"])}

    def put(self, job: dict[str, Any], files: Files) -> None:
        """Brings a job further; the program checks that it belongs to this run."""
        if not job["files"]:
            _write(files, self._out)
        elif "run.json" in files:
            with tempfile.TemporaryDirectory(prefix="faa-ray-") as part:
                _write(files, Path(part))
                command = [*self._command, "--out", str(self._out), "--collect", part]
                done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder)
            if done.returncode != 0:
                raise JobError(f"{job['id']} cannot be collected: {done.stderr}")


def _read(run: Path, names: Iterable[str], *, networks: bool = True) -> Files:
    """These files and folders of a run directory that is being written.

    Networks come before logs, since a log may be longer than its checkpoint, and not shorter.
    """
    found = [it for name in names for it in (run / name, *(run / name).rglob("*")) if it.is_file()]
    is_log = {it: it.suffix != ".safetensors" for it in found}
    try:
        files = [it for it in sorted(found, key=is_log.__getitem__) if networks or is_log[it]]
        return {str(it.relative_to(run)): it.read_bytes() for it in files}
    except FileNotFoundError:
        # It was replaced meanwhile.
        return _read(run, names, networks=networks)


def _write(files: Files, run: Path) -> None:
    for name, data in files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(data)
