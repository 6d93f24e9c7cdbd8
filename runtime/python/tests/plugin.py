"""Assembles a plugin, because a machine that tests Python may have no compiler for WebAssembly."""

import json

OPS = ["Grey", "Endless"]


def assemble(level=7):
    """A module with two ops: `Grey` overwrites the image with a level, and `Endless` never returns."""
    spec = json.dumps({"ops": [{"name": name, "summary": "a test"} for name in OPS]}).encode()
    i32, i64, f64 = b"\x7f", b"\x7e", b"\x7c"
    local, constant, end = b"\x20", b"\x41", b"\x0b"
    apply = (
        local + b"\x00" + b"\x04\x40" + b"\x03\x40\x0c\x00" + end + end  # if (op) loop, for ever
        + local + b"\x01" + constant + leb(level)
        + local + b"\x02" + local + b"\x03" + b"\x6c" + local + b"\x04" + b"\x6c"
        + b"\xfc\x0b\x00" + constant + b"\x00"  # memory.fill, and status 0
    )  # fmt: skip
    bodies = [
        b"\x42" + leb(SPEC << 32 | len(spec)),
        constant + leb(BUFFER),
        apply,
    ]
    types = [(b"", i64), (i32, i32), (i32 * 5 + f64 + i64, i32)]
    exports = [(b"memory", 2, 0), (b"faa_spec", 0, 0), (b"faa_reserve", 0, 1), (b"faa_apply", 0, 2)]
    return b"\0asm\1\0\0\0" + b"".join([
        section(0, text(b"faa.abi") + bytes([1, 0, 0, 0])),
        section(1, vector(b"\x60" + vector(split(a)) + vector([r]) for a, r in types)),
        section(3, vector(leb(index) for index in range(3))),
        section(5, vector([b"\x01" + leb(PAGES) + leb(PAGES)])),
        section(7, vector(text(name) + bytes([kind, index]) for name, kind, index in exports)),
        section(10, vector(sized(b"\x00" + body + end) for body in bodies)),
        section(11, vector([b"\x00" + constant + leb(SPEC) + end + text(spec)])),
    ])  # fmt: skip


SPEC, BUFFER, PAGES = 16, 1024, 16


def leb(number):
    """A non-negative number, also as a signed one."""
    out = b""
    while number > 0x3F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def split(types):
    return [types[i : i + 1] for i in range(len(types))]


def vector(items):
    items = list(items)
    return leb(len(items)) + b"".join(items)


def sized(content):
    return leb(len(content)) + content


def text(content):
    return sized(content)


def section(number, content):
    return bytes([number]) + sized(content)
