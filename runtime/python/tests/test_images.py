"""All kinds and layouts of images have the same pixels."""

import random
import re
from collections import namedtuple

import numpy as np
import pytest
from conftest import batch, image
from PIL import Image

import faa
from faa import _faa, _ops

KEY = {"seed": 3, "epoch": 2, "index": 11}
POLICY = faa.load("autoaugment-cifar10")


def expected(pixels):
    return POLICY(np.ascontiguousarray(pixels), **KEY)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_images_have_the_pixels_of_arrays(mode):
    pixels = image(mode=mode)
    result = POLICY(Image.fromarray(pixels), **KEY)
    assert (result.mode, result.size) == (mode, (37, 29))
    assert np.asarray(result).tobytes() == expected(pixels).tobytes()
    assert result.tobytes() != pixels.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_images_that_cannot_be_exported_have_the_same_pixels(mode, monkeypatch):
    # Larger than a block of Pillow's memory, 16 MiB.
    pixels = np.tile(image(mode=mode), (200, 100) + (1,) * (mode != "L"))
    result = POLICY(Image.fromarray(pixels), **KEY)
    assert np.asarray(result).tobytes() == expected(pixels).tobytes()
    if mode == "RGB":
        with pytest.raises(ValueError):
            result.__arrow_c_array__()

    def missing(self):
        raise AttributeError

    small = Image.fromarray(image(mode=mode))
    wanted = POLICY(small, **KEY)
    monkeypatch.setattr(Image.Image, "__arrow_c_array__", missing)
    assert POLICY(small, **KEY).tobytes() == wanted.tobytes()


def test_results_are_whole_pil_images():
    """Their memory is written by this package, and not by Pillow."""
    for mode in ("L", "RGB", "RGBA"):
        original = Image.fromarray(image(mode=mode))
        original.info["comment"] = "mine"
        result = POLICY(original, **KEY)
        assert result.info == {"comment": "mine"} and result.info is not original.info
        again = Image.frombytes(mode, result.size, result.tobytes())
        for change in (
            lambda it: it.convert("RGBA"),
            lambda it: it.resize((50, 60)),
            lambda it: it.rotate(9),
            lambda it: it.convert("HSV"),
            lambda it: Image.merge(it.mode, it.split()),
        ):
            if mode == "RGBA" and "HSV" in str(change.__code__.co_consts):
                continue
            assert change(result).tobytes() == change(again).tobytes()
        assert np.asarray(original).tobytes() == image(mode=mode).tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_views_have_the_pixels_of_their_copies(mode):
    large = image(width=90, height=70, mode=mode)
    crop = large[3:33, 5:46]
    views = [crop, large[::2], large[:, ::3], large[::-1], large[:, ::-1], large.swapaxes(0, 1)]
    if mode != "L":
        views += [large[..., ::-1], np.moveaxis(np.moveaxis(large, -1, 0).copy(), 0, -1)]
    for view in views:
        before = view.copy()
        result = POLICY(view, **KEY)
        assert result.flags.c_contiguous
        assert (result == expected(view)).all()
        assert (view == before).all()
    one_channel = large[..., :1] if mode != "L" else large[..., None]
    assert POLICY(one_channel, **KEY).shape == one_channel.shape


def test_results_are_written_where_they_are_wanted():
    pixels = image()
    wanted = expected(pixels)
    out = np.zeros_like(pixels)
    assert POLICY(pixels, out=out, **KEY) is out
    assert (out == wanted).all()
    # In place, in a part of a larger array, and channels first.
    own = pixels.copy()
    assert POLICY(own, out=own, **KEY) is own
    assert (own == wanted).all()
    large = np.zeros((64, 64, 3), np.uint8)
    part = large[7:36, 9:46]
    POLICY(pixels, out=part, **KEY)
    assert (part == wanted).all()
    assert large.sum() == part.sum(dtype=np.int64)
    part[:] = pixels
    POLICY(part, out=part, **KEY)
    assert (part == wanted).all()
    planes = np.zeros((3, 29, 37), np.uint8)
    POLICY(pixels, out=np.moveaxis(planes, 0, -1), **KEY)
    assert (np.moveaxis(planes, 0, -1) == wanted).all()


def test_results_cannot_be_written_over_their_source_or_themselves():
    memory = np.zeros((64, 37, 3), np.uint8)
    source = memory[:29]
    read_only = np.zeros_like(source)
    read_only.flags.writeable = False
    everywhere = np.lib.stride_tricks.as_strided(memory, (29, 37, 3), (0, 3, 1))
    for out, why in [
        (memory[1:30], "overlaps the images"),
        (source[::-1], "overlaps the images"),
        (read_only, "read-only"),
        (everywhere, "several samples in one place"),
        (np.zeros((28, 37, 3), np.uint8), "different shape"),
        (np.zeros((29, 37, 4), np.uint8), "different shape"),
    ]:
        with pytest.raises(ValueError, match=why):
            POLICY(source, out=out, **KEY)
    for out in [np.zeros((29, 37)), np.zeros((1, 29, 37, 3), np.uint8), bytearray(9)]:
        with pytest.raises(TypeError, match="`out`"):
            POLICY(source, out=out, **KEY)
    with pytest.raises(TypeError, match="`out`"):
        POLICY(Image.fromarray(source), out=memory[:29], **KEY)


def test_memory_by_address_is_that_of_a_tensor():
    native = _faa.Executor(POLICY.to_json().encode(), _ops.native(None))
    pixels = batch(5, width=20, height=30)
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 1))
    out = np.zeros_like(planes)
    memory = [(a.ctypes.data, a.shape, a.strides) for a in (planes, out)]
    native.apply(*memory, "NCHW", 3, 2, 11)
    for offset in range(5):
        wanted = POLICY(pixels[offset], seed=3, epoch=2, index=11 + offset)
        assert (np.moveaxis(out[offset], 0, -1) == wanted).all()


def test_samples_keep_their_other_entries():
    pixels = image()
    wanted, other = expected(pixels), object()
    image_of, label = POLICY((pixels, other), **KEY)
    assert (image_of == wanted).all() and label is other
    for name in ("image", "img"):
        sample = {"label": other, name: pixels}
        result = POLICY(sample, **KEY)
        assert list(result) == ["label", name] and result["label"] is other
        assert (result[name] == wanted).all() and sample[name] is pixels
    assert (POLICY(image=pixels, **KEY)["image"] == wanted).all()
    assert POLICY(image=pixels, label=7)["label"] == 7

    pair = namedtuple("pair", "pixels label")(pixels, 5)
    result = POLICY(pair, **KEY)
    assert type(result) is type(pair) and (result.pixels == wanted).all()


def test_type_errors_say_what_to_call():
    rgb = image()
    for sample, why in [
        (rgb / 255, r"augment before images become floats.*round\(\)\.astype\('uint8'\)"),
        (rgb.astype(np.int64), r"int64 cannot be augmented.*image\.astype\('uint8'\)"),
        (rgb > 9, r"bool cannot be augmented.*image\.astype\('uint8'\)"),
        (np.moveaxis(rgb, -1, 0), r"numpy\.moveaxis\(image, -3, -1\)"),
        (np.zeros(7, np.uint8), r"shape \(7,\) is not HW or HWC or NHWC"),
        (Image.fromarray(rgb).convert("P"), r"image\.convert\('RGB'\)"),
        (Image.fromarray(rgb).convert("CMYK"), r"image\.convert\('RGB'\)"),
        (Image.new("LA", (4, 4)), r"image\.convert\('RGBA'\)"),
        (Image.new("1", (4, 4)), r"image\.convert\('L'\)"),
        (Image.new("I;16", (4, 4)), r"image\.convert\('L'\)"),
        ([rgb, rgb], r"numpy\.stack"),
        (b"\x89PNG", r"PIL\.Image\.open"),
        (("cat.jpg", 3), r"PIL\.Image\.open"),
        ({"pixels": rgb}, "neither an 'image' nor an 'img': its keys are 'pixels'"),
        (np.ma.masked_array(rgb, rgb > 9), r"its mask would not be moved.*image\.filled\(\)"),
        (7, "int is not an image"),
        ((), "tuple is not an image"),
        (None, "NoneType is not an image"),
    ]:
        with pytest.raises(TypeError, match=why):
            POLICY(sample, **KEY)
    with pytest.raises(TypeError, match="call the policy itself on a single image"):
        POLICY.batch(rgb, seed=1)
    for empty in [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 0), np.uint8)]:
        with pytest.raises(ValueError, match="at least one row"):
            POLICY(empty, **KEY)
    for size in [(0, 5), (5, 0), (0, 0)]:
        for mode in ("L", "RGB", "RGBA"):
            with pytest.raises(ValueError, match="of {}×{} pixels is empty: .* at least one row".format(*size)):
                POLICY(Image.new(mode, size), **KEY)


@pytest.mark.parametrize("mode", [
    "1", "P", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16", "I;16B", "LA", "La", "PA", "RGBa", "RGBX",
])  # fmt: skip
def test_the_conversion_that_is_asked_for_works(mode):
    original = Image.new(mode, (4, 3))
    with pytest.raises(TypeError, match=f"mode {mode} cannot be augmented") as caught:
        POLICY(original, **KEY)
    converted = eval(re.search("`(.*)`", str(caught.value))[1], {"image": original})
    assert POLICY(converted, **KEY).mode == converted.mode
    assert (converted.mode == "RGBA") == (mode in ("LA", "La", "PA", "RGBa"))


def test_subclasses_of_arrays_become_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=(29, 37, 3))
    mapped[:] = image()
    result = POLICY(mapped, **KEY)
    assert type(result) is np.ndarray and (result == expected(image())).all()
    masked = np.ma.masked_array(image(), False)
    with pytest.raises(TypeError, match="`out` must be a NumPy array"):
        POLICY(image(), out=masked, **KEY)
    with pytest.raises(TypeError, match="mask would not be moved"):
        POLICY.batch(np.ma.masked_array(batch(2), False), seed=1)


def test_keys_are_checked():
    pixels = image()
    for key, why in [
        ({"seed": -1}, "`seed` must be from 0 to 18446744073709551615, and is -1"),
        ({"seed": 2**64}, "`seed`"),
        ({"seed": 1, "epoch": 2**32}, "`epoch` must be from 0 to 4294967294, and is 4294967296"),
        ({"seed": 1, "epoch": 2**32 - 1}, "`epoch`"),
        ({"seed": 1, "index": -1}, "`index`"),
    ]:
        with pytest.raises(ValueError, match=why):
            POLICY(pixels, **key)
        with pytest.raises(ValueError, match=why):
            POLICY.plan(**key)
    for samples, entries in [((), {}), ((pixels, pixels), {}), ((pixels,), {"image": pixels})]:
        with pytest.raises(TypeError, match="expected one sample"):
            POLICY(*samples, **entries)
    for key in [{"epoch": 1}, {"index": 1}]:
        with pytest.raises(TypeError, match="give a `seed`"):
            POLICY(pixels, **key)
    with pytest.raises(ValueError, match="`index`.* and is -3"):
        POLICY.batch(batch(2), seed=1, indices=[1, -3])
    with pytest.raises(ValueError, match="negative or too large"):
        POLICY.plan(seed=1, partners=-1)
    largest = {"seed": 2**64 - 1, "epoch": 2**32 - 2, "index": 2**64 - 1}
    assert POLICY.replay(pixels, POLICY.plan(**largest)).tobytes() == POLICY(pixels, **largest).tobytes()


def test_without_a_key_draws_come_from_random():
    pixels = image()
    draws = []
    for _ in range(2):
        random.seed(9)
        draws.append([POLICY(pixels).tobytes() for _ in range(20)])
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 5


def test_a_batch_has_the_images_of_single_calls():
    pixels = batch(40)
    indices = [7 * i + 1 for i in range(40)]
    wanted = np.stack([
        POLICY(one, seed=3, epoch=4, index=index) for one, index in zip(pixels, indices, strict=True)
    ])
    before = pixels.copy()
    for threads in (1, 2, 3):
        for indices_of in (indices, np.array(indices), tuple(indices)):
            result = POLICY.batch(pixels, seed=3, epoch=4, indices=indices_of, threads=threads)
            assert (result == wanted).all()
    assert (pixels == before).all()
    out = pixels.copy()
    assert POLICY.batch(out, seed=3, epoch=4, indices=indices, threads=2, out=out) is out
    assert (out == wanted).all()
    # Backwards, and channels first.
    backwards = POLICY.batch(pixels[::-1], seed=3, epoch=4, indices=indices[::-1], threads=2)
    assert (backwards[::-1] == wanted).all()
    from_zero = POLICY.batch(pixels, seed=3)
    assert (from_zero == POLICY(pixels, seed=3)).all()
    assert (from_zero[5] == POLICY(pixels[5], seed=3, index=5)).all()
    assert POLICY.batch(pixels[:0], seed=3).shape == (0, 32, 32, 3)
    with pytest.raises(ValueError, match="40 images, but 39 indices"):
        POLICY.batch(pixels, seed=3, indices=indices[1:])
    for threads in (0, -1, 1025, 2**70):
        with pytest.raises(ValueError, match="`threads` must be from 1 to 1024"):
            POLICY.batch(pixels, seed=3, threads=threads)


def test_partners_are_mixed_in():
    text = """{"format": "faa-policy", "version": 1, "name": "mix", "sub_policies": [
        [{"op": "SamplePairing", "probability": 1, "value": 0.4}]]}"""
    policy, pixels, partners = faa.loads(text), batch(3), batch(20)
    with pytest.raises(ValueError, match="SamplePairing.*give the images .* as `partners`"):
        policy(pixels[0], **KEY)
    plan = policy.plan(**KEY, partners=20)
    assert 0 <= plan["steps"][0]["partner"] < 20
    mixed = policy(pixels[0], **KEY, partners=partners)
    assert (policy.replay(pixels[0], plan, partners=partners) == mixed).all()
    exact = pixels[0] * 0.6 + partners[plan["steps"][0]["partner"]] * 0.4
    assert np.abs(exact - mixed).max() <= 1
    batched = policy.batch(pixels, seed=3, epoch=2, indices=[11, 0, 1], partners=partners, threads=2)
    assert (batched[0] == mixed).all()
    with pytest.raises(faa.PolicyError, match="there is no partner"):
        policy.replay(pixels[0], plan, partners=partners[:0])
    with pytest.raises(ValueError, match="partner"):
        policy(pixels[0], **KEY, partners=batch(2, width=31))
    with pytest.raises(ValueError, match="contiguous"):
        policy(pixels[0], **KEY, partners=partners[::2])
    with pytest.raises(ValueError, match="share memory"):
        policy.batch(partners, seed=3, partners=partners, out=partners)
    with pytest.raises(TypeError, match="`partners`"):
        policy(pixels[0], **KEY, partners=partners.astype(float))
