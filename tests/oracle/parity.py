"""The Pillow part of `cargo xtask parity`: reads cases with the ops' results from standard input, applies
the same ops with Pillow, and compares every byte.

`tests/examples/parity/main.rs` describes the input. The exit status is 1 at the first difference.
"""

import collections
import json
import sys
import time

import PIL
from PIL import Image

import ops
import pictures

PROGRESS_EVERY = 5.0
# With fewer cases per op, an op may be missing by chance.
ENOUGH_FOR_ALL = 40


def main():
    if PIL.__version__ != ops.PILLOW:
        sys.exit(f"error: Pillow {ops.PILLOW} is needed, and this is {PIL.__version__}")
    pictures.check_known()
    source = sys.stdin.buffer
    first_line = source.readline()
    if not first_line:
        sys.exit("error: the input is empty")
    about = json.loads(first_line)
    total, seed = about["cases"], about["seed"]
    print(f"{total} cases, seed {seed}, levels {', '.join(about['levels'])}", file=sys.stderr)
    tally = Tally()
    progress = Progress(total)
    for line in source:
        if not line.endswith(b"\n"):
            sys.exit("error: the input ends within a case")
        record = json.loads(line)
        found = source.read(record["length"])
        difference = compare(record, found)
        if "altered" in record:
            tally.altered += 1
            if difference is None or difference.index != record["altered"]:
                sys.exit(f"error: the difference of an altered copy was not found: {record}")
            continue
        if difference is not None:
            print(difference.describe(record, about))
            print(f"{tally.cases + 1} cases, 1 differs (Pillow {PIL.__version__}, seed {seed})")
            sys.exit(1)
        tally.add(record)
        progress.show(tally.cases)
    problem = tally.problem(about)
    print(tally.summary(about["ops"]))
    if problem:
        sys.exit(f"error: {problem}")
    seconds = f"{progress.seconds():.0f} s"
    print(f"{total} cases, 0 differ (Pillow {PIL.__version__}, seed {seed}, {seconds})")


def compare(record, found):
    """The first difference between our result and Pillow's, if there is one."""
    wanted = replay(record)
    if found == wanted:
        return None
    if len(found) != len(wanted):
        sys.exit(f"error: the input ends within case {record['case']}")
    index = next(i for i, (ours, pillows) in enumerate(zip(found, wanted)) if ours != pillows)
    count = sum(ours != pillows for ours, pillows in zip(found, wanted))
    return Difference(index, count, found, wanted)


def replay(record):
    """Pillow's result of a case."""
    shape = record["width"], record["height"], record["mode"]
    image = image_of(pictures.picture(record["kind"], record["image_seed"], *shape), shape)
    for step in record["steps"]:
        partner = None
        if step["partner"] is not None:
            partner = pictures.partner(record["image_seed"], step["partner"], *shape)
            partner = image_of(partner, shape)
        stream = pictures.Stream(step["seed"])
        image = ops.OPS[step["op"]](image, step["value"], stream, partner)
    return image.tobytes()


def image_of(samples, shape):
    width, height, mode = shape
    return Image.frombytes(mode, (width, height), samples)


class Difference:
    def __init__(self, index, count, found, wanted):
        self.index = index
        self.count = count
        self.found = found
        self.wanted = wanted

    def describe(self, record, about):
        """Everything needed to repeat the case, and the first pixel that differs."""
        width, channels = record["width"], pictures.CHANNELS[record["mode"]]
        pixel = self.index // channels
        samples = slice(pixel * channels, (pixel + 1) * channels)
        lines = [
            f"case {record['case']} differs in {self.count} of {record['length']} samples",
            f"  image: {record['kind']} {record['image_seed']}, {width}x{record['height']} "
            f"{record['mode']}",
            f"  level: {record['level']}, way: {record['way']}",
        ]
        for step in record["steps"]:
            partner = "" if step["partner"] is None else f", partner {step['partner']}"
            lines.append(f"  {step['op']} {step['value']!r}, seed {step['seed']}{partner}")
        if "policy" in record:
            lines.append(f"  draw key (seed, epoch, index): {record['key']}")
            lines.append(f"  policy: {json.dumps(record['policy'])}")
        lines += [
            f"  first at x {pixel % width}, y {pixel // width}: ours {list(self.found[samples])}, "
            f"Pillow's {list(self.wanted[samples])}",
            f"  to repeat: cargo xtask parity --seed {about['seed']} --first {record['case']} "
            "--cases 1",
        ]
        return "\n".join(lines)


class Tally:
    """The numbers of comparisons, by op and SIMD level."""

    def __init__(self):
        self.cases = 0
        self.altered = 0
        self.alone = collections.Counter()
        self.in_policies = collections.Counter()
        self.levels = collections.Counter()

    def add(self, record):
        self.cases += 1
        self.levels[record["level"]] += 1
        counter = self.in_policies if "policy" in record else self.alone
        counter.update(step["op"] for step in record["steps"])

    def problem(self, about):
        """The reason why too little was compared, or `None`."""
        if self.cases != about["cases"]:
            return f"only {self.cases} of {about['cases']} cases were read"
        if self.cases < ENOUGH_FOR_ALL * len(about["ops"]):
            return None
        missing = [op for op in about["ops"] if not self.alone[op]]
        missing += [level for level in about["levels"] if not self.levels[level]]
        if missing:
            return f"there was no case of {', '.join(missing)}"
        return None if self.altered else "there was no altered copy"

    def summary(self, names):
        counts = [f"{op} {self.alone[op]}+{self.in_policies[op]}" for op in names]
        levels = [f"{level} {count}" for level, count in self.levels.items()]
        return (
            f"compared, alone + in policies: {', '.join(counts)}; by level: {', '.join(levels)}; "
            f"{self.altered} altered copies detected"
        )


class Progress:
    def __init__(self, total):
        self.total = total
        self.start = self.shown = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start

    def show(self, done):
        now = time.monotonic()
        if now - self.shown >= PROGRESS_EVERY:
            self.shown = now
            rate = done / (now - self.start)
            print(f"{done} of {self.total} cases, {rate:.0f} per second", file=sys.stderr)


if __name__ == "__main__":
    main()
