"""Threads: none by default; pools survive forks; threads of Python may share a policy."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import plugin
import pytest
from conftest import batch

import faa

POLICY = faa.load("autoaugment-imagenet")


def test_there_are_no_threads_before_they_are_asked_for():
    script = """
import os, numpy, faa
tasks = lambda: len(os.listdir("/proc/self/task"))
before = tasks()
policy, pixels = faa.load("randaugment"), numpy.zeros((64, 64, 64, 3), numpy.uint8)
policy(pixels[0], seed=1); policy.batch(pixels, seed=1); policy.batch(pixels, seed=1, threads=1)
without = tasks()
policy.batch(pixels, seed=1, threads=3); policy.batch(pixels, seed=1, threads=3)
print(without - before, tasks() - without)
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, env=environment
    )
    assert printed.stdout.split() == [b"0", b"3"]


def test_pools_and_plugins_survive_fork_spawn_and_forkserver(tmp_path):
    (tmp_path / "test.wasm").write_bytes(plugin.assemble())
    script = Path(__file__).with_name("forks.py")
    command = [sys.executable, "-W", "ignore", script, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            # A deadlock would last for ever; without one, this takes some seconds.
            printed, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            # The children, too, one of which may wait for what never comes.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert (process.returncode, printed.split()) == (0, [b"done"])


def test_a_child_with_the_id_of_its_parent_has_a_pool_of_its_own():
    """Both are process 1 of a PID namespace, one within the other."""
    script = """
import ctypes, os, sys
NEW_USER, NEW_PID = 0x1000_0000, 0x2000_0000
unshare = ctypes.CDLL(None).unshare
if unshare(NEW_PID) and unshare(NEW_USER | NEW_PID):
    sys.exit("not permitted")

def in_child(work):
    if (child := os.fork()) == 0:
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0

def digest():
    import numpy, faa
    pixels = numpy.arange(40 * 48, dtype=numpy.uint8).reshape(10, 8, 8, 3)
    return faa.load("randaugment").batch(pixels, seed=1, threads=2).tobytes()

def parent():
    own, found = (os.getpid(), digest()), lambda: (os.getpid(), digest())
    return own[0] == 1 and unshare(NEW_PID) == 0 and in_child(lambda: found() == own)

print("done" if in_child(parent) else "failed")
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    # The first call must find no other thread.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            printed, error = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if error.strip() == "not permitted":
        pytest.skip("PID namespaces are not permitted here")
    assert (printed.strip(), error) == ("done", "")


def test_threads_of_python_share_a_policy():
    pixels = batch(64, width=80, height=80)
    wanted = POLICY.batch(pixels, seed=6)
    results = [None] * 8

    def work(number):
        one_by_one = [POLICY(image, seed=6, index=index) for index, image in enumerate(pixels)]
        batched = POLICY.batch(pixels, seed=6, threads=1 + number % 3)
        results[number] = (np.stack(one_by_one) == wanted).all() and (batched == wanted).all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * len(results)


def of_plugin(folder):
    from test_policy import policy_of

    (folder / "test.wasm").write_bytes(plugin.assemble())
    plugins = faa.load_plugins(folder)
    grey = faa.loads(policy_of("Grey"), plugins=plugins)
    return lambda: grey(batch(1)[0], seed=1)


@pytest.mark.parametrize(
    "call_in",
    [
        lambda _: lambda: POLICY(batch(1, width=200, height=200)[0], seed=1),
        lambda _: lambda: POLICY.batch(batch(64), seed=1),
        lambda _: lambda: POLICY.batch(batch(2), seed=1, threads=2),
        of_plugin,
    ],
    ids=["large image", "batch", "threads", "plugin"],
)
def test_other_threads_run_during_a_call(call_in, tmp_path):
    call = call_in(tmp_path)
    call()
    begun, counted = threading.Event(), []

    def count():
        begun.wait()
        counted.append(1)

    thread = threading.Thread(target=count)
    thread.start()
    before = sys.getswitchinterval()
    # Only a thread that releases Python's lock by itself is interrupted.
    sys.setswitchinterval(1000)
    try:
        begun.set()
        deadline = time.monotonic() + 60
        calls = 0
        while not counted and time.monotonic() < deadline:
            call()
            calls += 1
    finally:
        sys.setswitchinterval(before)
    thread.join()
    assert calls > 0 and time.monotonic() < deadline
