"""Runs on clusters of two nodes with invented GPUs: `cargo xtask ray`."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

import faa.ray

PROGRAM = os.environ["FAA_RUNTIME"]
# So many and so slow trials that a node can be lost between two of them.
OPTIONS = """--data folder:$IMAGES --preset demo --device cpu --threads 1 --model wrn-10-1 --epochs 2 --warmup-epochs 0
    --batch 20 --folds 2 --rounds 2 --trials 12 --top-n 2 --draws 60 --final-epochs 1 --final-seeds 1
    --final-trainings cutout,policy""".split()


@pytest.fixture(scope="session", autouse=True)
def images(tmp_path_factory):
    """A data set in a folder that only the nodes' environment names."""
    folder = tmp_path_factory.mktemp("data") / "images"
    noise = random.Random(1)
    for split, count in [("train", 150), ("test", 30)]:
        for image in range(count):
            file = folder / split / f"class-{image % 3}" / f"{image}.ppm"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = bytes(noise.randrange(128) + 60 * (image % 3) for _ in range(16 * 16 * 3))
            file.write_bytes(b"P6 16 16 255\n" + pixels)
    os.environ["IMAGES"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def expected(tmp_path_factory, images):
    """The policy of a single process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    options = [option.replace("$IMAGES", str(images)) for option in OPTIONS]
    command = [PROGRAM, "search", *options, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (out / "policy.json").read_bytes()


@pytest.fixture
def cluster():
    """A node for the driver, without GPUs."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    # Before there are other nodes: all have one address here, and a driver on a node that is lost ends with it.
    cluster.connect()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster):
    return cluster.add_node(num_cpus=1, num_gpus=1)


def lines(file):
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_a_node_is_lost_after_its_first_trial(cluster, tmp_path, expected):
    nodes = [add_node(cluster), add_node(cluster)]
    cluster.wait_for_nodes()
    out, reported, failed = tmp_path / "run", [], []

    def search():
        try:
            options = {"cpus_per_task": 1, "address": cluster.address, "report": reported.append}
            faa.ray.search([*OPTIONS, "--out", str(out)], **options)
        except BaseException as error:
            failed.append(error)

    run = threading.Thread(target=search)
    run.start()
    trials = [out / f"fold-{fold}" / "trials.jsonl" for fold in range(2)]
    wait_until(lambda: failed or all(lines(file) for file in trials))
    assert not failed
    cluster.remove_node(nodes[1], allow_graceful=False)
    run.join(600)
    assert not failed and not run.is_alive()
    assert (out / "policy.json").read_bytes() == expected
    assert all(len(lines(file)) == 24 for file in trials), "no trial was recorded twice"
    attempts = [len(lines(file.with_name("attempts.jsonl"))) for file in trials]
    assert sorted(attempts) == [1, 2], reported
    assert any(re.search(r"scorings, \d+ (s|min) left, on .*, attempt 2$", it) for it in reported), reported
    assert any(line.startswith("4 of 4 jobs done") for line in reported), reported


def test_without_a_shared_folder_files_travel_through_the_object_store(cluster, tmp_path, expected):
    add_node(cluster)
    cluster.wait_for_nodes()
    out = tmp_path / "run"
    options = {"cpus_per_task": 1, "gpus_per_task": 0.5, "address": cluster.address}
    reported = []
    options |= {"object_store": True, "report": reported.append}
    faa.ray.search([*OPTIONS, "--out", str(out)], **options)
    assert (out / "policy.json").read_bytes() == expected
    # Not in the node's folder, which is gone.
    assert f"policy: {out / 'policy.json'} (" in reported[-1]
    assert json.loads((out / "summary.json").read_text())["final_trainings"]
    assert (out / "report.html").exists()


def test_a_node_with_a_different_version_is_named(cluster, tmp_path, monkeypatch):
    other = tmp_path / "faa-runtime"
    other.write_text("#!/bin/sh\necho faa-runtime 99.0.0\n")
    other.chmod(0o755)
    monkeypatch.setenv("FAA_RUNTIME", str(other))
    cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.wait_for_nodes()
    monkeypatch.setenv("FAA_RUNTIME", PROGRAM)
    with pytest.raises(faa.ray.SetUpError, match=r"has faa-runtime 99\.0\.0, the driver .*install"):
        options = {"cpus_per_task": 1, "address": cluster.address}
        faa.ray.search([*OPTIONS, "--out", str(tmp_path / "run")], **options)


def test_a_job_that_fails_is_named_after_its_retries(cluster, tmp_path):
    add_node(cluster)
    cluster.wait_for_nodes()
    reported = []
    with pytest.raises(faa.ray.JobError, match=r"fold-\d on .*: status 1\n(.*\n)*.*missing"):
        arguments = [*OPTIONS, "--data", "folder:missing", "--out", str(tmp_path / "run")]
        arguments = arguments[arguments.index("--preset") :]
        options = {"cpus_per_task": 1, "address": cluster.address, "retries": 1}
        faa.ray.search(arguments, report=reported.append, **options)


@pytest.mark.parametrize("options", [[], ["--object-store"]])
def test_an_interrupted_command_stops_its_jobs_and_continues(tmp_path, expected, options):
    out = tmp_path / "run"
    own = "-m faa.ray search --cpus-per-task 1 --gpus-per-task 0".split()
    # The form that the shell leaves in one word.
    command = [sys.executable, *own, *options, "--", *OPTIONS, f"--out={out}"]
    trials = out / "fold-0/trials.jsonl"
    of_tasks = lambda: set(Path(tempfile.gettempdir()).glob("faa-ray-*/run/fold-0/trials.jsonl"))
    before = of_tasks()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        # Without a shared folder, only the task has them.
        begun = lambda: any(map(lines, [trials, *(of_tasks() - before)]))
        wait_until(lambda: run.poll() is not None or begun())
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 130, errors
    assert "the same command continues the run" in errors
    assert not Path(out, "policy.json").exists()
    recorded = lines(trials)
    assert 0 < len(recorded) < 24
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "policy.json").read_bytes() == expected
    assert len(lines(trials)) == 24 and lines(trials)[: len(recorded)] == recorded
    assert len(lines(out / "fold-0/attempts.jsonl")) == 2
