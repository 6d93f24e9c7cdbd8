"""Test images and random numbers, identical to those of the Rust code.

Uses only the standard library. The Rust code is in `tests/src/pictures.rs` and, for the random stream, in
`runtime/op/src/stream.rs`; both versions are checked against `known.txt`.
"""

import hashlib
import pathlib

KINDS = ("noise", "narrow", "few", "gradient", "grain", "constant")
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}

WORD = 0xFFFFFFFF
# The number of random bytes that are parameters, eight per channel; the samples follow.
HEAD = 32
# Tables that add k to every level, modulo 256.
MOVED = [bytes((level + k) % 256 for level in range(256)) for k in range(256)]


def picture(kind, seed, width, height, mode):
    """The samples of a test image, row by row, channels interleaved."""
    channels = CHANNELS[mode]
    length = width * height * channels
    shake = hashlib.shake_128(f"faa {kind} {seed}".encode())
    if kind in ("gradient", "constant"):
        head, samples = shake.digest(HEAD), b""
    else:
        both = shake.digest(HEAD + length)
        head, samples = both[:HEAD], both[HEAD:]
    heads = [head[8 * channel : 8 * channel + 8] for channel in range(channels)]
    if kind == "noise":
        return samples
    if kind == "narrow":
        return by_channel(samples, [narrow_table(head) for head in heads])
    if kind == "few":
        return by_channel(samples, [few_table(head) for head in heads])
    if kind == "gradient":
        return gradient(heads, width, height)
    if kind == "grain":
        # A gradient of 0 … 239 and noise of 0 … 15: no sum overflows its byte, so all samples can be added
        # at once as two large integers.
        smooth = gradient(heads, width, height).translate(bytes(i * 15 // 16 for i in range(256)))
        rough = samples.translate(bytes(i // 16 for i in range(256)))
        total = int.from_bytes(smooth, "little") + int.from_bytes(rough, "little")
        return total.to_bytes(length, "little")
    if kind == "constant":
        return bytes(head[0] for head in heads) * (width * height)
    raise ValueError(f"no kind of image is named {kind}")


def partner(seed, number, width, height, mode):
    """A partner image for ops that mix images: number 0, 1, … for the image with this seed."""
    return picture("noise", (seed + 1 + number) % 2**64, width, height, mode)


def by_channel(samples, tables):
    samples = bytearray(samples)
    for channel, table in enumerate(tables):
        part = slice(channel, None, len(tables))
        samples[part] = samples[part].translate(table)
    return bytes(samples)


def narrow_table(head):
    """A table that maps all levels to a range whose ends are two parameters."""
    low, high = sorted(head[:2])
    return bytes(low + level * (high - low + 1) // 256 for level in range(256))


def few_table(head):
    """A table that maps all levels to one to four levels."""
    count = 1 + head[4] % 4
    return bytes(head[level % count] for level in range(256))


def gradient(heads, width, height):
    """Levels that increase linearly to the right, by up to 4 per pixel, and downwards, equally in all
    channels, and start again from 0 after 255."""
    first_row = b"".join(
        bytes((head[0] + x * head[1] // 64) % 256 for head in heads) for x in range(width)
    )
    down = heads[0][2]
    return b"".join(first_row.translate(MOVED[y * down // 64 % 256]) for y in range(height))


class Stream:
    """The random stream of an op's call: Philox4x32-10 with the op's seed as key."""

    def __init__(self, seed):
        self.key = (seed & WORD, seed >> 32)
        self.block = 0
        self.words = []

    def next_u32(self):
        if not self.words:
            self.words = philox4x32_10((self.block, WORD, 0, 0), self.key)[::-1]
            self.block += 1
        return self.words.pop()

    def next_u64(self):
        low = self.next_u32()
        return low | self.next_u32() << 32

    def unit(self):
        """A uniform number from [0, 1)."""
        return (self.next_u64() >> 11) / 2**53

    def below(self, count):
        """A uniform integer from 0 to count - 1 (Lemire, algorithm 5)."""
        rest = 2**64 % count
        while True:
            product = self.next_u64() * count
            if product % 2**64 >= rest:
                return product >> 64


def philox4x32_10(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & WORD, p0 >> 32 ^ c3 ^ k1, p0 & WORD
        k0, k1 = k0 + 0x9E3779B9 & WORD, k1 + 0xBB67AE85 & WORD
    return [c0, c1, c2, c3]


def digest(samples):
    """The digest that files of cases contain instead of an image: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(samples).hexdigest()[:16]


def check_known():
    """Fails if images or numbers differ from those of the Rust code."""
    # The same known answer is in the tests of `runtime/op/src/stream.rs`.
    assert philox4x32_10((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    text = pathlib.Path(__file__).with_name("known.txt").read_text("ascii")
    seen = set()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *numbers, answer = line.split()
        if name == "stream":
            stream = Stream(int(numbers[0]))
            found = f"{stream.next_u32()},{stream.unit()!r},{stream.below(2**63 + 1)}"
        else:
            seed, width, height, mode = numbers
            found = digest(picture(name, int(seed), int(width), int(height), mode))
        assert found == answer, f"found {found}, but known.txt has: {line}"
        seen.add(name)
    assert seen == {"stream", *KINDS}, f"known.txt lacks a kind: {seen}"
