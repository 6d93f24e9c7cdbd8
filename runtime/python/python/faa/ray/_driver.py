"""Starts one Ray task per job of a run, until the run is complete."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from faa.ray._job import ENDING, JobError, SetUpError, Store, find_program, run

# In seconds: how often jobs are looked at, how often they are reported if none starts or ends, and how late a network
# file system may show what a different node has written.
INTERVAL, REPORTING, SETTLING = 2.0, 60.0, 90.0


def search(
    arguments: Sequence[str],
    *,
    address: str | None = None,
    gpus_per_task: float = 1.0,
    cpus_per_task: int = 4,
    retries: int = 3,
    object_store: bool = False,
    report: Callable[[str], None] = partial(print, file=sys.stderr, flush=True),
    command: str = "search",
) -> Path:
    """Runs `faa-runtime search` with these arguments, one Ray task per job; returns the run directory.

    Each task gets `gpus_per_task` GPUs (fractions share one) and `cpus_per_task` CPUs, which is also `--threads`
    unless that is given. A task whose node is lost or whose program fails starts again, up to `retries` times, and
    continues where the records end. `address` is the cluster's; `None` uses the one that is initialised, or starts
    one here. With `object_store`, nodes share no folder. `report` receives the lines of the progress.

    Raises `SetUpError` if a node lacks something, `JobError` if a job keeps failing, and
    `subprocess.CalledProcessError` if the arguments are wrong.
    """
    # On the CPU, results repeat only with the same number of threads everywhere.
    this = _Run([command, "--threads", str(max(1, cpus_per_task)), *arguments], report)
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError as error:
        raise SetUpError(f"{error}: pip install 'faa-runtime[ray]' on every node") from None
    if address is not None or not ray.is_initialized():
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    options = {"num_gpus": gpus_per_task, "num_cpus": cpus_per_task, "max_retries": retries}
    this.task = ray.remote(run).options(retry_exceptions=[JobError, OSError], **options)
    if object_store:
        # Not soft: that may choose a node that can be lost.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        store: Any = ray.remote(Store).options(num_cpus=0, scheduling_strategy=here)
        this.store = store.remote(this.out, this.command, os.getcwd())
    this.out.mkdir(parents=True, exist_ok=True)
    try:
        report(this.complete().strip())
    except BaseException:
        this.cancel()
        raise
    return this.out


def train(arguments: Sequence[str], **options: Any) -> Path:
    """As `search`, for `faa-runtime train`."""
    return search(arguments, command="train", **options)


class _Run:
    """A run, and the tasks of its jobs."""

    task: Any
    store: Any = None

    def __init__(self, own: Sequence[str], report: Callable[[str], None]) -> None:
        program, self.version = find_program()
        # Variables are those of each node; here, those of data sets need not be set.
        self.own, self.command = own, [program, *map(os.path.expandvars, own)]
        self.report = report
        self.reported, self.report_at = "", 0.0
        self.tasks: dict[Any, str] = {}
        self.out = Path(self._list()["run"]).absolute()

    def _list(self) -> dict[str, Any]:
        command = [*self.command, "--list-jobs", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        listing: dict[str, Any] = json.loads(done.stdout)
        return listing

    def complete(self) -> str:
        """Starts all jobs that are ready, again and again; merges, and returns what that prints."""
        listing, started = self._list(), set()
        late: dict[str, float] = {}
        while any(job["state"] != "done" for job in listing["jobs"]):
            for job in listing["jobs"]:
                if job["state"] == "ready" and job["id"] not in self.tasks.values():
                    if job["id"] in started:
                        now = time.monotonic()
                        if now < late.setdefault(job["id"], now + SETTLING):
                            continue
                        message = f"{job['id']} ended, but {self.out} does not have it: is it shared?"
                        raise JobError(message)
                    started.add(job["id"])
                    self._start(job)
            # One that is held may be of an earlier call, which is about to end.
            is_late = any(job["state"] == "ready" and job["id"] in late for job in listing["jobs"])
            if not self.tasks and not is_late and all(job["state"] != "held" for job in listing["jobs"]):
                raise JobError("no job can start: the records of one are missing; see --list-jobs")
            self._report(listing)
            self._wait()
            listing = self._list()
        self._report(listing)
        while self.tasks:
            self._wait()
        needs = [job["id"] for job in listing["jobs"]]
        self._start({"id": "merge", "arguments": [], "needs": needs, "files": []})
        while self.tasks:
            output = self._wait()
        return output

    def _start(self, job: dict[str, Any]) -> None:
        task = self.task.remote(job, self.version, self.own, self.out, self.store)
        self.tasks[task] = job["id"]

    def _wait(self) -> str:
        """Waits for a task to end, but not for long. Returns what it has printed."""
        import ray

        if not self.tasks:
            time.sleep(INTERVAL)
            return ""
        try:
            for task in ray.wait(list(self.tasks), timeout=INTERVAL)[0]:
                output: str = ray.get(task)
                del self.tasks[task]
                return output
        except ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), JobError | SetUpError):
                raise cause from None
            raise JobError(str(error)) from None
        return ""

    def _report(self, listing: dict[str, Any]) -> None:
        """A line for each job that runs, and one for all, if one has started or ended or a minute has passed."""
        jobs, names = listing["jobs"], self.tasks.values()
        begun = [it for it in jobs if it["id"] in names and it["progress"]["attempts"] > 0]
        done = sum(job["state"] == "done" for job in jobs)
        state = str([done, *((it["id"], it["progress"]["attempts"]) for it in begun)])
        if state == self.reported and time.monotonic() < self.report_at:
            return
        self.reported, self.report_at = state, time.monotonic() + REPORTING
        for job in begun:
            self.report(f"{job['id']:<24} {job['progress']['summary']}")
        words = f"{done} of {len(jobs) + listing['later']} jobs done"
        if seconds := listing["seconds_left"]:
            words += f", about {max(seconds / 60 / max(len(begun), 1), 1):.0f} min left"
        self.report(words)

    def cancel(self) -> None:
        """Ends all tasks; their programs stop after the step under way, and the records stay."""
        import ray

        if self.tasks:
            self.report("stopping; the same command continues the run")
            # Ray 2.60 crashes if a task is cancelled while it takes the place of one that has just ended.
            time.sleep(INTERVAL)
            for task in self.tasks:
                ray.cancel(task)
            ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=ENDING + 10.0)
