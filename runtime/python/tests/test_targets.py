"""Masks, boxes and keypoints that move along with an image."""

from collections.abc import Mapping

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


def test_boxes_at_any_angle_turn_with_the_image():
    boxes = np.array([[18.5, 14.5, 12.0, 5.0, 20.0], [18.0, 12.0, 6.0, 4.0, -75.0]])
    flipped = policy("FlipX")(image=image(), rotated_bboxes=boxes, seed=1)["rotated_bboxes"]
    assert np.allclose(flipped[:, :4], np.stack([37 - boxes[:, 0], *boxes[:, 1:4].T], 1))
    assert np.allclose((flipped[:, 4] + boxes[:, 4]) % 180, 0) and flipped.dtype == "float64"
    for key in KEYS[:5]:
        one = policy("Rotate", 25)
        angle = one.plan(**key)["steps"][0]["value"]
        moved = one(image=image(), rotated_bboxes=boxes, bboxes=boxes[:, :4], **key)
        turn = (moved["rotated_bboxes"][:, 4] - boxes[:, 4] - angle) % 180
        assert np.allclose(np.minimum(turn, 180 - turn), 0, atol=1e-9)
        assert np.allclose(moved["rotated_bboxes"][:, 2:4], boxes[:, 2:4])
        points = one(image=image(), keypoints=boxes[:, :2], **key)["keypoints"]
        assert np.allclose(moved["rotated_bboxes"][:, :2], points)
        plan = one.plan(**key)
        again = one.replay({"image": image(), "rotated_bboxes": boxes}, plan)
        assert (again["rotated_bboxes"] == moved["rotated_bboxes"]).all()
    gone = policy("TranslateXAbs", 30)(
        image=image(), rotated_bboxes=np.array([[5.0, 5, 4, 4, 30], [32, 5, 4, 4, 30]]), seed=1
    )["rotated_bboxes"]
    assert (gone == 0).all(axis=1).sum() == 1
    same = boxes.astype("float32")
    assert (policy("Invert")(image=image(), rotated_bboxes=same, seed=1)["rotated_bboxes"] == same).all()


def test_points_of_several_objects_keep_their_shape_and_kind():
    points = np.array([[[3, 4, 1], [36, 4, 2], [18, 9, 0]], [[3, 9, 2], [5, 9, 2], [30, 9, 1]]])
    for key in KEYS[:5]:
        one = policy("TranslateXAbs", 10)
        flat = one(image=image(), keypoints=points.reshape(-1, 3), **key)["keypoints"]
        moved = one(image=image(), keypoints=points, **key)["keypoints"]
        assert moved.shape == points.shape and (moved.reshape(-1, 3) == flat).all()
        inside = (moved[..., 0] >= 0) & (moved[..., 0] <= 37)
        assert (moved[..., 2] == np.where(inside, points[..., 2], 0)).all()
        bare = one(image=image(), keypoints=points[..., :2], **key)["keypoints"]
        assert (bare == moved[..., :2]).all()


def test_further_images_have_the_same_draw():
    right, depth = 255 - image(), image(mode="L")
    clip, small = batch(4), image()[:9, :12]
    for key in KEYS:
        sample = {"image": image(), "mask": depth, "images": [right, depth, clip, small]}
        moved = MIXED(sample, **key)
        assert (moved["image"] == MIXED(image(), **key)).all()
        second, third, frames, last = moved["images"]
        assert (second == MIXED(right, **key)).all() and (third == MIXED(depth, **key)).all()
        assert (last == MIXED(small, **key)).all()
        for frame, source in zip(frames, clip, strict=True):
            assert (frame == MIXED(source, **key)).all()
        again = MIXED.replay(sample, MIXED.plan(**key))
        assert (again["images"][2] == frames).all() and (again["mask"] == moved["mask"]).all()
        alone = MIXED(image=image(), images=clip, mode="clip", **key)
        assert (alone["images"] == frames).all() and alone["mode"] == "clip"
    assert (clip == batch(4)).all()


def test_frames_have_draws_of_their_own():
    key = {"seed": 5, "epoch": 1, "index": 7}
    plans = [MIXED.plan(frame=frame, **key) for frame in range(20)]
    assert len({str(plan) for plan in plans}) > 15
    for frame, plan in enumerate(plans):
        moved = MIXED(image=image(), mask=image(mode="L"), frame=frame, **key)
        again = MIXED.replay({"image": image(), "mask": image(mode="L")}, plan)
        assert (moved["image"] == again["image"]).all() and (moved["mask"] == again["mask"]).all()
    # As `DrawKey::for_frame` of Rust has it, whose numbers are tested there.
    assert MIXED.plan(frame=0, **key) != MIXED.plan(**key)
    with pytest.raises(ValueError, match="`frame` must be from 0 to 4294967295, and is -1"):
        MIXED(image(), frame=-1, **key)
    with pytest.raises(ValueError, match="`frame` must be from 0 to 4294967295"):
        MIXED.plan(seed=1, frame=1 << 32)
    with pytest.raises(ValueError, match="`seed` must be from 0"):
        MIXED.plan(seed=-1, frame=1)
    with pytest.raises(TypeError, match="give a `seed` too"):
        MIXED(image(), frame=1)


@pytest.mark.parametrize("wrong", [{"min_visible": 1.1}, {"min_visible": float("nan")}, {"min_size": -1}])
def test_limits_that_are_none_are_errors(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        faa.TargetOptions(**wrong)


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
        ({"rotated_bboxes": np.zeros((2, 4))}, TypeError, "are not N×5"),
        ({"rotated_bboxes": [[1, 2, 3, 4, 5]]}, TypeError, "boxes must be a NumPy array"),
        ({"keypoints": np.zeros((2, 4))}, TypeError, "are not N×2 or N×3"),
        ({"images": [np.zeros((2, 2))]}, TypeError, "only of uint8"),
        ({"images": ["left.png"]}, TypeError, "str is not an image"),
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


class Lazy(Mapping):
    """Makes its arrays anew each time, as a data set's sample may."""

    def __getitem__(self, key):
        return {"image": image, "mask": lambda: image(mode="L")}[key]()

    def __iter__(self):
        return iter(["image", "mask"])

    def __len__(self):
        return 2


def test_entries_that_are_made_anew_move_too():
    for key in KEYS[:5]:
        moved = policy("Rotate", 25)(Lazy(), **key)
        assert (moved["mask"] == policy("Rotate", 25)(image(mode="L"), **key)).all()


def test_further_images_do_not_move_along_with_a_batch():
    many = np.stack([image(), image()])
    with pytest.raises(ValueError, match="not with a batch"):
        MIXED(image=many, images=[many], seed=1)
