"""Pillow's half of `cargo xtask parity`: reads cases with our results from standard input, makes
the same with Pillow, and compares every byte.

`tests/examples/parity/main.rs` says what comes in. It ends at the first difference with status 1.
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
# With fewer cases for each op, chance alone may leave one out.
ENOUGH_FOR_ALL = 40


def main():
    if PIL.__version__ != ops.PILLOW:
        sys.exit(f"error: Pillow {ops.PILLOW} is needed, and this is {PIL.__version__}")
    pictures.check_known()
    source = sys.stdin.buffer
    first_line = source.readline()
    if not first_line:
        sys.exit("error: the program that makes the cases said nothing")
    about = json.loads(first_line)
    total, seed = about["cases"], about["seed"]
    print(f"{total} cases, seed {seed}, levels {', '.join(about['levels'])}", file=sys.stderr)
    tally = Tally()
    progress = Progress(total)
    for line in source:
        if not line.endswith(b"\n"):
            sys.exit("error: the cases end in the middle of one")
        record = json.loads(line)
        found = source.read(record["length"])
        difference = compare(record, found)
        if "altered" in record:
            tally.controls += 1
            if difference is None or difference.place != record["altered"]:
                sys.exit(f"error: an altered copy passed, so the comparison is blind: {record}")
            continue
        if difference is not None:
            print(difference.in_words(record, about))
            print(f"{tally.cases + 1} cases, 1 differs (Pillow {PIL.__version__}, seed {seed})")
            sys.exit(1)
        tally.add(record)
        progress.tell(tally.cases)
    problem = tally.problem(about)
    print(tally.in_words(about["ops"]))
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
        sys.exit(f"error: the cases end in the middle of number {record['case']}")
    place = next(i for i, (ours, pillows) in enumerate(zip(found, wanted)) if ours != pillows)
    count = sum(ours != pillows for ours, pillows in zip(found, wanted))
    return Difference(place, count, found, wanted)


def replay(record):
    """What Pillow makes of a case, step by step."""
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
    def __init__(self, place, count, found, wanted):
        self.place = place
        self.count = count
        self.found = found
        self.wanted = wanted

    def in_words(self, record, about):
        """All that is needed to repeat the case, and the first pixel that differs."""
        width, channels = record["width"], pictures.CHANNELS[record["mode"]]
        pixel = self.place // channels
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
    """How often what was compared."""

    def __init__(self):
        self.cases = 0
        self.controls = 0
        self.alone = collections.Counter()
        self.in_policies = collections.Counter()
        self.levels = collections.Counter()

    def add(self, record):
        self.cases += 1
        self.levels[record["level"]] += 1
        counter = self.in_policies if "policy" in record else self.alone
        counter.update(step["op"] for step in record["steps"])

    def problem(self, about):
        """Why equal results would prove nothing."""
        if self.cases != about["cases"]:
            return f"only {self.cases} of {about['cases']} cases came"
        if self.cases < ENOUGH_FOR_ALL * len(about["ops"]):
            return None
        missing = [op for op in about["ops"] if not self.alone[op]]
        missing += [level for level in about["levels"] if not self.levels[level]]
        if missing:
            return f"nothing was compared of {', '.join(missing)}"
        return None if self.controls else "no altered copy came"

    def in_words(self, names):
        counts = [f"{op} {self.alone[op]}+{self.in_policies[op]}" for op in names]
        levels = [f"{level} {count}" for level, count in self.levels.items()]
        return (
            f"compared, alone + in policies: {', '.join(counts)}; by level: {', '.join(levels)}; "
            f"{self.controls} altered copies found"
        )


class Progress:
    def __init__(self, total):
        self.total = total
        self.start = self.told = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start

    def tell(self, done):
        now = time.monotonic()
        if now - self.told >= PROGRESS_EVERY:
            self.told = now
            rate = done / (now - self.start)
            print(f"{done} of {self.total} cases, {rate:.0f} a second", file=sys.stderr)


if __name__ == "__main__":
    main()
