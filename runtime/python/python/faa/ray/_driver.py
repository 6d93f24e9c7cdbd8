"""Starts one Ray task per job of a run, until the run is complete."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from faa.ray import _job
from faa.ray._job import Call, JobError, SetUpError

# How often jobs are looked at, in seconds.
INTERVAL = 1.0
# How often the total is printed, if no job starts or ends, in seconds.
REPORTING = 60.0


class JobFailed(Exception):
    """The run cannot go on; the message says which job failed, and why. The same call continues the run."""


class Options(TypedDict, total=False):
    """The keywords of `search` and `train`."""

    address: str | None
    gpus_per_task: float
    cpus_per_task: int
    retries: int
    object_store: bool
    report: Callable[[str], None]


def search(arguments: Sequence[str], **options: Unpack[Options]) -> Path:
    """Runs `faa-runtime search` with these arguments, one Ray task per job; returns the run directory.

    Each task gets `gpus_per_task` GPUs (1.0; fractions share one) and `cpus_per_task` CPUs (4), which is also
    `--threads` unless that is given. A task whose node is lost or whose program fails starts again, up to
    `retries` times (3), and continues where the records end. `address` is the cluster's; `None` uses the one
    that is initialised, or starts one here. With `object_store`, nodes share no folder: files travel through
    the object store. `report` receives the lines of the progress.

    Raises `SetUpError` if a node lacks something, `JobFailed` if a job keeps failing, and
    `subprocess.CalledProcessError` if the arguments are wrong.
    """
    return _Run("search", arguments, **options).complete()


def train(arguments: Sequence[str], **options: Unpack[Options]) -> Path:
    """As `search`, for `faa-runtime train`."""
    return _Run("train", arguments, **options).complete()


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass
class _Run:
    command: str
    arguments: Sequence[str]
    address: str | None = None
    gpus_per_task: float = 1.0
    cpus_per_task: int = 4
    retries: int = 3
    object_store: bool = False
    report: Callable[[str], None] = _print
    running: dict[Any, dict[str, Any]] = field(default_factory=dict, init=False)
    # How many attempts were reported, and when the next report is due.
    reported: int = field(default=0, init=False)
    report_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Takes `--out` from the arguments, and checks them."""
        self.program, self.version = _job.find_program()
        own = list(self.arguments)
        if "--out" not in own[:-1]:
            raise ValueError("the arguments lack --out DIR")
        at = own.index("--out")
        self.out = Path(own[at + 1]).absolute()
        own = [*own[:at], *own[at + 2 :]]
        if "--threads" not in own:
            # On the CPU, results repeat only with the same number everywhere.
            own += ["--threads", str(max(1, self.cpus_per_task))]
        self.own = (self.command, *own)
        self.listing = self._list()

    def complete(self) -> Path:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not ray.is_initialized() or self.address is not None:
            ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False)
        if not self.object_store:
            self.out.mkdir(parents=True, exist_ok=True)
        # Not soft: that may choose a node that can be lost.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board: Any = ray.remote(_job.Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self.board = board
        run: Any = ray.remote(_job.run)
        self.task = run.options(
            num_gpus=self.gpus_per_task,
            num_cpus=self.cpus_per_task,
            max_retries=self.retries,
            retry_exceptions=[JobError],
        )
        try:
            while self._start_jobs() or self.running:
                self._wait()
            merge = {"id": "merge", "arguments": [], "needs": None, "files": ["."]}
            output = self._finish(self._start(merge))
            self.report(output.strip())
        except BaseException:
            self._cancel()
            raise
        return self.out

    def _start_jobs(self) -> bool:
        """Starts all jobs that are ready; `False` if the run is complete, up to merging."""
        started = {job["id"] for job in self.running.values()}
        jobs = self.listing["jobs"]
        for job in jobs:
            if job["state"] == "ready" and job["id"] not in started:
                self.running[self._start(job)] = job
        if all(job["state"] == "done" for job in jobs) and self.listing["later"] == 0:
            return False
        if not self.running:
            if not any(job["state"] == "held" for job in jobs):
                raise JobFailed("no job can start: the records of one are missing; see --list-jobs")
            # A different process works on it; it may be an earlier call, which is about to end.
            time.sleep(INTERVAL)
            self.listing = self._list()
        return True

    def _start(self, job: dict[str, Any]) -> Any:
        given = None
        if self.object_store and self.out.exists():
            files = {it["id"]: it["files"] for it in self.listing["jobs"]}
            needs = files if job["needs"] is None else job["needs"]
            # Of jobs that are done, nobody needs the networks.
            names = [file for it in needs for file in files[it]]
            given = _job.pack(self.out, names, networks=False)
        # The results of the whole run are for people.
        json_lines = ["--json"] if job["arguments"] else []
        arguments = (*self.own, *job["arguments"], *json_lines)
        out, shared = self.out, not self.object_store
        call = Call(job["id"], arguments, out, tuple(job["files"]), self.version, shared)
        return self.task.remote(call, self.board, given)

    def _wait(self) -> None:
        """Waits for a job to end, but not for long; reports."""
        import ray

        ended, _ = ray.wait(list(self.running), timeout=INTERVAL) if self.running else ([], [])
        for task in ended:
            job = self.running[task]
            self._finish(task)
            del self.running[task]
            self.listing = self._list()
            state = next(it["state"] for it in self.listing["jobs"] if it["id"] == job["id"])
            if state != "done":
                raise JobFailed(
                    f"{job['id']} ended, but {self.out} does not have it: is it shared?"
                )
        self._report(ended=len(ended) > 0)

    def _finish(self, task: Any) -> str:
        """Takes the result of a task that has ended, or waits for it."""
        import ray

        try:
            output, files = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, SetUpError):
                raise cause from None
            raise JobFailed(str(cause)) from error
        except ray.exceptions.RayError as error:
            raise JobFailed(f"a job was lost more often than it may be retried: {error}") from error
        if files is not None:
            self._collect(files, is_job=task in self.running)
        return str(output)

    def _collect(self, files: bytes, *, is_job: bool) -> None:
        """Brings the files of a job to the run directory; the program checks that they belong to this run."""
        if not is_job:
            _job.unpack(files, self.out)
            return
        with tempfile.TemporaryDirectory(prefix="faa-ray-") as part:
            _job.unpack(files, Path(part))
            self._list("--collect", part)

    def _list(self, *collect: str) -> dict[str, Any]:
        what = collect or ("--list-jobs",)
        command = [self.program, *self.own, "--out", str(self.out), *what, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        listing: dict[str, Any] = json.loads(done.stdout)
        return listing

    def _report(self, *, ended: bool) -> None:
        """A line for each job that runs, and one for all, if something has changed or a minute has passed."""
        import ray

        known = ray.get(self.board.jobs.remote())
        lines, left, estimates = [], 0.0, []
        for job in self.running.values():
            if (it := known.get(job["id"])) is None:
                continue
            again = f", attempt {it['attempts']}" if it["attempts"] > 1 else ""
            words = "starting"
            if it["seconds"] > 0:
                seconds = max(it["seconds"] - it["done"], 0.0)
                left += seconds
                estimates.append(it["seconds"])
                percent = 100 * min(it["done"] / it["seconds"], 1.0)
                words = f"{percent:3.0f} %, {_in_words(seconds)} left"
            lines.append(f"{job['id']:<24} {words:<18} on {it['host']}{again}")
        started = sum(it["attempts"] for it in known.values())
        if not ended and started == self.reported and time.monotonic() < self.report_at:
            return
        self.reported, self.report_at = started, time.monotonic() + REPORTING
        jobs = self.listing["jobs"]
        done = sum(job["state"] == "done" for job in jobs)
        total = len(jobs) + self.listing["later"]
        # Those that have not begun are taken for as long as those that run.
        waiting = total - done - len(estimates)
        average = sum(estimates) / max(len(estimates), 1)
        left = (left + waiting * average) / max(len(estimates), 1)
        words = f", about {_in_words(left)} left" if estimates else ""
        for line in [*lines, f"{done} of {total} jobs done{words}"]:
            self.report(line)

    def _cancel(self) -> None:
        """Ends all tasks; their programs stop after the step under way, and the records stay."""
        import ray

        if not self.running:
            return
        self.report("stopping; the same command continues the run")
        tasks = list(self.running)
        for force in (False, True):
            for task in tasks:
                ray.cancel(task, force=force)
            _, tasks = ray.wait(tasks, num_returns=len(tasks), timeout=_job.ENDING)
            if not tasks:
                break


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
