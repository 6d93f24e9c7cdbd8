"""The objectives of the sampler comparison, in Python.

They are the same functions, term by term and in the same order of summation,
as in `examples/sampler_study/objectives.rs`. `compare_hyperopt.py` writes their
losses at fixed points, and the example `sampler_study` compares them with its
own.

A point is a list of floats, a choice being the index of its option.
"""

import math
import struct

MASK = (1 << 64) - 1


class SplitMix64:
    """The generator of Steele et al. 2014, for constants that are equal in both languages."""

    def __init__(self, state):
        self.state = state & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def unit(self):
        return (self.next() >> 11) * 2.0**-53

    def between(self, low, high):
        return low + (high - low) * self.unit()


SUBPOLICIES = 5
OPS = 15


class Policy:
    """Five sub-policies of two operations; a slot is (operation, probability, magnitude)."""

    name = "policy"
    dimensions = [OPS, None, None] * (2 * SUBPOLICIES)

    def __init__(self):
        rng = SplitMix64(2019)
        self.quality = [rng.between(-0.2, 1.0) for _ in range(OPS)]
        self.magnitude = [rng.between(0.1, 0.9) for _ in range(OPS)]
        self.cost = [rng.between(0.0, 1.5) for _ in range(OPS)]
        self.synergy = [[rng.between(-0.3, 0.3) for _ in range(OPS)] for _ in range(OPS)]

    def __call__(self, x):
        ops = [int(x[3 * s]) for s in range(2 * SUBPOLICIES)]
        reward = 0.0
        for first in range(0, 2 * SUBPOLICIES, 2):
            for s in (first, first + 1):
                op, p, m = ops[s], x[3 * s + 1], x[3 * s + 2]
                off = m - self.magnitude[op]
                reward += p * (self.quality[op] - 1.5 * off * off) - 0.5 * self.cost[op] * p * p
            both = x[3 * first + 1] * x[3 * first + 4]
            reward += self.synergy[ops[first]][ops[first + 1]] * both
            if ops[first] == ops[first + 1]:
                reward -= 0.4 * both
        overlap = 0.0
        for a in range(2 * SUBPOLICIES):
            for b in range(a + 1, 2 * SUBPOLICIES):
                if a // 2 != b // 2 and ops[a] == ops[b]:
                    overlap += x[3 * a + 1] * x[3 * b + 1]
        return 1.0 - reward / 5.0 + 0.02 * overlap


class NoisyPolicy(Policy):
    """`Policy` with noise of standard deviation 0.05, a fixed function of the point."""

    name = "policy-noisy"

    def __call__(self, x):
        return super().__call__(x) + 0.05 * self.noise(x)

    @staticmethod
    def noise(x):
        state = 0
        for value in x:
            bits = struct.unpack("<Q", struct.pack("<d", value))[0]
            state = SplitMix64(state ^ bits).next()
        rng = SplitMix64(state)
        total = -6.0
        for _ in range(12):
            total += rng.unit()
        return total


class Rastrigin:
    """A shifted ellipsoid with ripples, ten-dimensional."""

    name = "continuous"
    dimensions = [None] * 10

    def __init__(self):
        rng = SplitMix64(1974)
        self.shift = [rng.between(0.15, 0.85) for _ in range(10)]

    def __call__(self, x):
        total = 0.0
        for i in range(10):
            z = x[i] - self.shift[i]
            total += (1.0 + i) * z * z + 0.1 * (1.0 - math.cos(6.0 * math.pi * z))
        return total


class Hartmann:
    """Hartmann's six-dimensional function, two of its coordinates by choice."""

    name = "mixed"
    dimensions = [5, 6, None, None, None, None]
    FIRST = [0.7, 0.05, 0.311652, 0.95, 0.5]
    SECOND = [0.25, 0.85, 0.1, 0.6573, 0.4, 1.0]
    ALPHA = [1.0, 1.2, 3.0, 3.2]
    A = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
    P = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]

    def __call__(self, x):
        y = [x[2], x[3], x[4], x[5], self.FIRST[int(x[0])], self.SECOND[int(x[1])]]
        total = 0.0
        for i in range(4):
            inner = 0.0
            for j in range(6):
                d = y[j] - self.P[i][j]
                inner += self.A[i][j] * d * d
            total -= self.ALPHA[i] * math.exp(-inner)
        return total


OBJECTIVES = [Policy(), Rastrigin(), Hartmann(), NoisyPolicy()]


def points(dimensions, count):
    """Uniform points to compare the two implementations on."""
    rng = SplitMix64(7)
    result = []
    for _ in range(count):
        point = []
        for options in dimensions:
            u = rng.unit()
            point.append(u if options is None else float(math.floor(u * options)))
        result.append(point)
    return result
