"""One job of a run, in the process that Ray starts for it: a call of `faa-runtime`."""

import io
import json
import os
import queue
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Exit status of a job that a different process holds.
HELD = 75
# How long an earlier attempt may take to end, in seconds.
ENDING = 60.0
# How often records are sent to the driver in the mode without a shared folder, in seconds.
KEEPING = 30.0


class JobError(Exception):
    """A job failed; the message has the last lines that `faa-runtime` printed."""


class SetUpError(Exception):
    """A node lacks what a job needs; the message says what to install."""


@dataclass(frozen=True)
class Call:
    """A call of `faa-runtime`."""

    name: str
    # Without --out; ${NAME} and ~ in --data are those of the node.
    arguments: tuple[str, ...]
    out: Path
    # What the call writes, relative to `out`.
    files: tuple[str, ...]
    version: str
    shared: bool


def find_program(version: str | None = None) -> tuple[str, str]:
    """The path and the version of `faa-runtime` on this node: `$FAA_RUNTIME`, or else that on the path."""
    path = shutil.which(os.environ.get("FAA_RUNTIME", "faa-runtime"))
    wanted = version or "the version of this package"
    install = (
        f"install faa-runtime and faa-runtime-torch of {wanted} (cargo install --path runtime/cli, and "
        "runtime/torch) on every node, or set FAA_RUNTIME to the program before `ray start`"
    )
    if path is None:
        raise SetUpError(f"{socket.gethostname()} has no faa-runtime: {install}")
    done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    found = done.stdout.strip().rpartition(" ")[2]
    if version is not None and found != version:
        raise SetUpError(
            f"{socket.gethostname()} has faa-runtime {found}, the driver {version}: {install}"
        )
    return path, found


def run(call: Call, board: Any, given: bytes | None) -> tuple[str, bytes | None]:
    """Runs a call on this node, and returns its output and, without a shared folder, the files it wrote.

    `given` are the files that it needs, and `board` is the driver's `Board`.
    """
    program, _ = find_program(call.version)
    board.start.remote(call.name, socket.gethostname())
    if call.shared:
        if not call.out.is_dir():
            message = (
                f"{socket.gethostname()} has no {call.out}: use a shared folder, or --object-store"
            )
            raise SetUpError(message)
        return _run(program, call, call.out, board), None
    with tempfile.TemporaryDirectory(prefix="faa-ray-") as folder:
        out = Path(folder, "run")
        import ray

        for data in (given, ray.get(board.kept.remote(call.name))):
            if data is not None:
                unpack(data, out)
        output = _run(program, call, out, board)
        return output, pack(out, call.files)


def _run(program: str, call: Call, out: Path, board: Any) -> str:
    data = (os.path.expanduser(os.path.expandvars(it)) for it in call.arguments)
    command = [program, *data, "--out", str(out), "--end-with-stdin"]
    given_up = time.monotonic() + ENDING
    while True:
        status, output, errors = _watch(command, call, out, board)
        if status != HELD or time.monotonic() > given_up:
            break
        time.sleep(1.0)
    if status != 0:
        raise JobError(f"{call.name} on {socket.gethostname()}: status {status}\n{errors}")
    return output


def _watch(command: list[str], call: Call, out: Path, board: Any) -> tuple[int, str, str]:
    """Runs a command to its end. Its input is a pipe: when this process is killed, the command ends too."""
    output, kept_at = "", time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        assert process.stdin is not None and process.stdout is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True).start()
        try:
            # Ray cancels a task between two instructions of Python, so none may block for long.
            while (line := _next(lines)) is not None:
                if line:
                    output += line if "--json" not in command else ""
                    board.event.remote(call.name, line)
                if not call.shared and time.monotonic() - kept_at > KEEPING:
                    kept_at = time.monotonic()
                    board.keep.remote(call.name, pack(out, call.files))
            status = process.wait()
        finally:
            process.stdin.close()
            try:
                process.wait(ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
        errors.seek(0)
        return status, output, "".join(errors.readlines()[-20:])


def _read(stream: IO[str], put: Callable[[str | None], None]) -> None:
    for line in stream:
        put(line)
    put(None)


def _next(lines: "queue.SimpleQueue[str | None]") -> str | None:
    """The next line; empty if there is none yet, and `None` after the last."""
    try:
        return lines.get(timeout=0.5)
    except queue.Empty:
        return ""


def pack(out: Path, names: Iterable[str], *, networks: bool = True) -> bytes:
    """These files and folders of a run directory that is being written, as a tar file.

    Networks come before logs, since a log may be longer than its checkpoint, and not shorter.
    """
    found = [file for name in names for file in [out / name, *(out / name).rglob("*")]]
    files = sorted({it for it in found if it.is_file()}, key=lambda it: not _is_network(it))
    files = [file for file in files if networks or not _is_network(file)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                continue
            entry = tarfile.TarInfo(str(file.relative_to(out)))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _is_network(file: Path) -> bool:
    return file.suffix == ".safetensors"


def unpack(data: bytes, out: Path) -> None:
    """Writes the files of a tar file into a folder."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(out, filter="data")


class Board:
    """What the driver knows of the jobs that run: an actor on its node."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}
        self._kept: dict[str, bytes] = {}

    def start(self, name: str, host: str) -> None:
        """An attempt starts."""
        attempts = self._jobs.get(name, {}).get("attempts", 0) + 1
        self._jobs[name] = {"host": host, "attempts": attempts, "done": 0.0, "seconds": 0.0}

    def event(self, name: str, line: str) -> None:
        """A line of `--json`."""
        job = self._jobs[name]
        try:
            event = json.loads(line)
        except ValueError:
            return
        if event.get("event") == "planned":
            job |= {"rates": event["rates"], "seconds": event["estimated_seconds"]}
        elif "images" in event and "rates" in job:
            kind = "train" if event["event"] == "epoch_done" else "classify"
            job["done"] += event["images"] / max(job["rates"][kind], 1e-9)

    def keep(self, name: str, data: bytes) -> None:
        """Keeps the records of an attempt, from which the next one continues."""
        self._kept[name] = data

    def kept(self, name: str) -> bytes | None:
        """The records that were kept."""
        return self._kept.get(name)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """For each job that was started: `host`, `attempts`, and of `seconds` of work those `done`."""
        return self._jobs
