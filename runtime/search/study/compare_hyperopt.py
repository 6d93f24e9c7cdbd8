"""Runs hyperopt's TPE, with its defaults, on the objectives of the comparison.

    python compare_hyperopt.py hyperopt.json [--seeds 20] [--trials 200] [--candidates 24]

The seed of a run is the seed of the generator that is passed to `fmin`. The JSON
holds, for each objective, the best loss of each seed, and the losses at fixed
points, by which `sampler_study` checks that both sides compute the same function.
For the noisy objective, the best loss is the noise-free loss of the trial with
the lowest noisy loss.
"""

import argparse
import functools
import json
import time

import hyperopt
import numpy as np
from hyperopt import Trials, fmin, hp, tpe

from objectives import OBJECTIVES, NoisyPolicy, Policy, points


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=24, help="hyperopt's default is 24")
    arguments = parser.parse_args()

    result = {
        "hyperopt": hyperopt.__version__,
        "numpy": np.__version__,
        "trials": arguments.trials,
        "candidates": arguments.candidates,
        "objectives": {},
    }
    for objective in OBJECTIVES:
        start = time.time()
        best = [
            best_loss(objective, seed, arguments.trials, arguments.candidates)
            for seed in range(arguments.seeds)
        ]
        seconds = time.time() - start
        result["objectives"][objective.name] = {
            "best": best,
            "seconds": seconds,
            "check": [objective(point) for point in points(objective.dimensions, 1000)],
        }
        print(f"{objective.name}: mean {np.mean(best):.4f}, {seconds:.0f} s", flush=True)
        with open(arguments.output, "w") as file:
            json.dump(result, file)


def best_loss(objective, seed, trials, candidates):
    space = [
        hp.uniform(f"x{i:02}", 0.0, 1.0)
        if options is None
        else hp.choice(f"x{i:02}", list(range(options)))
        for i, options in enumerate(objective.dimensions)
    ]
    seen = []

    def loss(values):
        point = [float(value) for value in values]
        value = objective(point)
        seen.append((value, point))
        return value

    fmin(
        loss,
        space,
        algo=functools.partial(tpe.suggest, n_EI_candidates=candidates),
        max_evals=trials,
        trials=Trials(),
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
        verbose=False,
    )
    value, point = min(seen)
    return Policy.__call__(objective, point) if isinstance(objective, NoisyPolicy) else value


if __name__ == "__main__":
    main()
