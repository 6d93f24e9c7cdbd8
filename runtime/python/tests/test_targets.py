"""Masks, boxes and keypoints that move along with an image."""

import numpy as np
import pytest
from conftest import batch, image
from PIL import Image

import faa

MIXED = faa.load("trivialaugment-wide")
KEYS = [{"seed": 5, "epoch": 1, "index": index} for index in range(40)]


def policy(op, value=None):
    stated = "" if value is None else f', "value": {value}'
    return faa.loads(
        '{"format": "faa-policy", "version": 1, "name": "one", "sub_policies": '
        f'[[{{"op": "{op}", "probability": 1{stated}}}]]}}'
    )


@pytest.mark.parametrize("op, value", [("Rotate", 25), ("ShearX", 0.2), ("FlipX", None)])
def test_masks_move_as_images_do(op, value):
    one, labels = policy(op, value), image(mode="L")
    many = np.stack([labels, 255 - labels])
    wide = labels.astype("uint16") * 257
    for key in KEYS[:10]:
        moved = one(image=image(), mask=labels, masks=[wide, labels > 99, many], **key)
        wanted = one(labels, **key)
        assert (moved["image"] == one(image(), **key)).all()
        assert (moved["mask"] == wanted).all() and moved["mask"].dtype == "uint8"
        first, second, third = moved["masks"]
        assert (first == wanted.astype("uint16") * 257).all() and first.dtype == "uint16"
        assert (second == (wanted > 99)).all() and second.dtype == "bool"
        assert (third[0] == wanted).all() and (third[1] == one(255 - labels, **key)).all()
    assert (labels == image(mode="L")).all()


def test_pixels_from_outside_are_filled():
    ones = np.ones((29, 37), "uint8")
    options = faa.TargetOptions(fill=9)
    for key in KEYS:
        moved = policy("TranslateXAbs", 10)(
            image=image(), mask=ones, target_options=options, **key
        )
        assert (moved["mask"] == 9).sum() == 29 * 10
        assert set(np.unique(moved["mask"])) == {1, 9}


def test_exact_moves_move_boxes_and_points_exactly():
    boxes = np.array([[4, 8, 20, 25], [0, 0, 37, 29]])
    points = np.array([[1.5, 2.5], [36.5, 28.5]], "float32")
    moved = policy("FlipX")(image=image(), bboxes=boxes, keypoints=points, seed=1)
    assert moved["bboxes"].tolist() == [[17, 8, 33, 25], [0, 0, 37, 29]]
    assert moved["bboxes"].dtype == "float64"
    assert moved["keypoints"].tolist() == [[35.5, 2.5], [0.5, 28.5]]
    assert moved["keypoints"].dtype == "float32"


def test_what_leaves_the_image_is_dropped():
    boxes = np.array([[0.0, 0, 8, 29], [29.0, 0, 37, 29]])
    points = np.array([[4.0, 5, 2], [33.0, 5, 2], [18.0, 5, 0]])
    dropped = set()
    for key in KEYS[:10]:
        moved = policy("TranslateXAbs", 10)(image=image(), bboxes=boxes, keypoints=points, **key)
        kept = moved["bboxes"][:, 2] > 0
        assert kept.sum() == 1 and (moved["bboxes"][~kept] == 0).all()
        assert (moved["keypoints"][:2, 2] == np.where(kept, 2, 0)).all()
        assert moved["keypoints"][2, 2] == 0
        dropped.add(int(np.argmin(kept)))
    assert dropped == {0, 1}
    half = np.array([[0.0, 0, 20, 29], [17.0, 0, 37, 29]])
    for limit, count in [(0.4, 2), (0.6, 1)]:
        options = faa.TargetOptions(min_visible=limit)
        moved = policy("TranslateXAbs", 10)(
            image=image(), bboxes=half, target_options=options, **KEYS[0]
        )
        assert (moved["bboxes"][:, 2] > 0).sum() == count


def test_cutout_hides_or_removes():
    mask = np.ones((29, 37), "uint8")
    for erased, is_changed in [("occluded", False), ("removed", True)]:
        options = faa.TargetOptions(fill=7, erased=erased)
        moved = policy("Cutout", 0.2)(image=image(), mask=mask, target_options=options, seed=1)
        assert (moved["mask"] == 7).any() == is_changed
    with pytest.raises(ValueError, match="'occluded' or 'removed'"):
        faa.TargetOptions(erased="gone")


def test_plans_move_the_same():
    sample = {
        "image": image(),
        "mask": image(mode="L"),
        "bboxes": np.array([[4.0, 8, 20, 25]]),
        "label": 3,
    }
    changed = 0
    for key in KEYS:
        moved = MIXED(sample, **key)
        again = MIXED.replay(sample, MIXED.plan(**key))
        assert moved["label"] == 3
        for name in ("image", "mask", "bboxes"):
            assert (moved[name] == again[name]).all()
        changed += (moved["bboxes"] != sample["bboxes"]).any()
    assert 0 < changed < len(KEYS)


def test_images_of_pil_have_masks_too():
    array = image()
    moved = policy("FlipX")(image=Image.fromarray(array), mask=array[..., 0], seed=1)
    assert (np.asarray(moved["image"]) == array[:, ::-1]).all()
    assert (moved["mask"] == array[:, ::-1, 0]).all()


def test_other_entries_are_passed_through():
    mask, extra = image(mode="L"), [1, 2, 3]
    moved = policy("FlipX")(img=image(), masks=None, other=extra, more=mask, seed=1)
    assert moved["masks"] is None and moved["other"] is extra and moved["more"] is mask


@pytest.mark.parametrize(
    "entries, error, message",
    [
        ({"mask": [[1, 2]]}, TypeError, "a NumPy array or the tv_tensor of torchvision, and not list"),
        ({"mask": Image.new("L", (37, 29))}, TypeError, "not PIL.Image.Image"),
        ({"mask": np.zeros((29, 37))}, TypeError, "a mask of float64 cannot be moved"),
        ({"mask": np.zeros(29, "uint8")}, TypeError, "is not HW, nor masks NHW"),
        ({"mask": np.zeros((37, 29), "uint8")}, ValueError, "a mask has a different size"),
        ({"mask": np.zeros((0, 29), "uint8")}, ValueError, "at least one row"),
        ({"bboxes": np.zeros((2, 5))}, TypeError, "are not N×4"),
        ({"bboxes": [[1, 2, 3, 4]]}, TypeError, "boxes must be a NumPy array"),
        ({"keypoints": np.zeros((2, 4))}, TypeError, "are not N×2 or N×3"),
    ],
)
def test_what_cannot_be_moved_is_an_error(entries, error, message):
    with pytest.raises(error, match=message):
        MIXED(image=image(), seed=1, **entries)


def test_fills_are_labels_and_batches_have_no_targets():
    mask = image(mode="L")
    for fill, labels in [(256, mask), (-1, mask), (2, mask > 3), (65_536, mask.astype("uint16"))]:
        with pytest.raises(ValueError, match="`fill` must be a label"):
            MIXED(image=image(), mask=labels, seed=1, target_options=faa.TargetOptions(fill=fill))
    with pytest.raises(ValueError, match="and not with a batch"):
        MIXED(image=batch(2), mask=np.zeros((32, 32), "uint8"), seed=1)
    with pytest.raises(ValueError, match="`seed` must be from 0"):
        MIXED(image=image(), mask=mask, seed=-1)
