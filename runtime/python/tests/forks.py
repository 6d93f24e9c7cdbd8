"""Run by `test_threads.py` in a process of its own: batches on threads, and plugins, in children."""

import hashlib
import multiprocessing
import os
import sys

from conftest import batch

import faa

POLICY = faa.load("trivialaugment-wide")


def digest(threads):
    result = POLICY.batch(batch(30), seed=8, threads=threads)
    return hashlib.sha256(result.tobytes()).hexdigest()


def grey(policy):
    return int(policy(batch(1)[0], seed=1).max())


def endless(policy):
    try:
        policy(batch(1)[0], seed=1)
    except RuntimeError as error:
        return str(error)


def main(folder):
    from test_policy import policy_of

    wanted = digest(1)
    assert digest(2) == digest(3) == wanted
    plugins = faa.load_plugins(folder, call_seconds=0.05)
    own, slow = (faa.loads(policy_of(op), plugins=plugins) for op in ("Grey", "Endless"))
    assert grey(own) == 7 and "0.05 s" in endless(slow)
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        for _ in range(2):
            with context.Pool(2) as pool:
                assert pool.map(digest, [1, 2, 3, 2, 2, 1]) == [wanted] * 6, method
                assert pool.apply(grey, (own,)) == 7, method
                # Its time limit needs a thread that the child has not inherited.
                assert "0.05 s" in pool.apply(endless, (slow,)), method
                pool.close()
                pool.join()
        assert digest(2) == wanted, method
    # A child of a child, each with what it has inherited, and each ending as a process does, with all that
    # Python then drops.
    if os.fork() == 0:
        works = digest(2) == wanted and grey(own) == 7 and "0.05 s" in endless(slow)
        if os.fork() == 0:
            works = works and digest(2) == digest(5) == wanted
            sys.exit(0 if works and grey(own) == 7 and "0.05 s" in endless(slow) else 1)
        sys.exit(0 if os.wait()[1] == 0 and works else 1)
    assert os.wait()[1] == 0
    print("done")


if __name__ == "__main__":
    main(sys.argv[1])
