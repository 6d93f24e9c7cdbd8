"""torchvision's boxes, masks and keypoints move along, as its own kernels move them where semantics agree."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

import faa

HEIGHT, WIDTH = 60, 80
SIZE = (HEIGHT, WIDTH)


def policy(*steps):
    listed = ", ".join(
        f'{{"op": "{op}", "probability": 1' + ("}" if value is None else f', "value": {value}}}')
        for op, value in steps
    )
    return faa.loads(
        f'{{"format": "faa-policy", "version": 1, "name": "one", "sub_policies": [[{listed}]]}}'
    )


def sample():
    generator = torch.Generator().manual_seed(1)
    numbers = torch.rand(12, 4, generator=generator)
    # About the middle, so that nothing leaves the image.
    corners = 20 + numbers[:, :2] * 10
    boxes = torch.cat([corners, corners + 3 + numbers[:, 2:] * 10], 1)
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 2, (12, *SIZE), dtype=torch.uint8, generator=generator)
    return {
        "image": tv_tensors.Image(image),
        "target": {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE),
            "masks": tv_tensors.Mask(masks),
            "points": tv_tensors.KeyPoints(boxes[:, :2].clone(), canvas_size=SIZE),
            "labels": torch.arange(12),
        },
    }


def by_torchvision(kernel, given):
    target = given["target"]
    moved = {key: kernel(target[key]) for key in ("boxes", "masks", "points")}
    return {"image": kernel(given["image"]), "target": {**target, **moved}}


def value_of(one, **key):
    return one.plan(**key)["steps"][0]["value"]


@pytest.mark.parametrize("op", ["FlipX", "FlipY", "TranslateXAbs", "TranslateYAbs", "Rotate"])
@pytest.mark.parametrize("index", range(4))
def test_targets_go_where_torchvision_moves_them(op, index):
    values = {"TranslateXAbs": 7, "TranslateYAbs": 5, "Rotate": 17.5}
    one, given = policy((op, values.get(op))), sample()
    value = value_of(one, seed=3, index=index)
    shifts = {"TranslateXAbs": [-int(value), 0], "TranslateYAbs": [0, -int(value)]}

    def kernel(x):
        match op:
            case "FlipX":
                return functional.horizontal_flip(x)
            case "FlipY":
                return functional.vertical_flip(x)
            case "Rotate":
                return functional.rotate(x, value)
        return functional.affine(x, angle=0, translate=shifts[op], scale=1, shear=[0, 0])

    moved, wanted = one(given, seed=3, index=index), by_torchvision(kernel, given)
    own, theirs = moved["target"], wanted["target"]
    if op != "Rotate":
        # torchvision's grid decides differently about pixels at the edges of others.
        assert torch.equal(moved["image"], wanted["image"])
        assert torch.equal(own["masks"], theirs["masks"])
    for name in ("boxes", "masks", "points"):
        assert type(own[name]) is type(theirs[name])
    assert own["boxes"].format == theirs["boxes"].format and own["boxes"].canvas_size == SIZE
    assert torch.allclose(own["boxes"], theirs["boxes"], atol=1e-3)
    # What torchvision flips or turns is the centre of a pixel, where its boxes are from edge to edge.
    assert torch.allclose(own["points"], theirs["points"], atol=1.01)
    assert own["labels"] is given["target"]["labels"]


@pytest.mark.parametrize("index", range(4))
def test_all_formats_are_one_box(index):
    one, given = policy(("ShearX", 0.2), ("Rotate", 10)), sample()
    boxes = given["target"]["boxes"]
    key = {"seed": 4, "index": index}
    moved = one((given["image"], boxes), **key)[1]
    for name in ("XYWH", "CXCYWH"):
        other = functional.convert_bounding_box_format(boxes, new_format=name)
        other = one((given["image"], [other]), **key)[1][0]
        assert other.format.name == name
        back = functional.convert_bounding_box_format(other, new_format="XYXY")
        assert torch.allclose(back, moved, atol=1e-4)


def rotated_boxes():
    generator = torch.Generator().manual_seed(2)
    numbers = torch.rand(9, 5, generator=generator, dtype=torch.float64)
    # About the middle, so that nothing leaves the image.
    low, high = torch.tensor([[32.0, 24, 4, 3, -180], [48.0, 36, 14, 9, 180]], dtype=torch.float64)
    return tv_tensors.BoundingBoxes(
        low + numbers * (high - low), format="CXCYWHR", canvas_size=SIZE
    )


def corners(boxes):
    """The corners of boxes in an order of their own, each a row of positions."""
    converted = functional.convert_bounding_box_format(boxes, new_format="XYXYXYXY")
    points = converted.as_subclass(torch.Tensor).reshape(-1, 4, 2)
    # A box that is turned by a right angle, with its sides exchanged, is the same box.
    def place(point):
        return tuple(point.round(decimals=3).tolist())

    return torch.stack([torch.stack(sorted(box, key=place)) for box in points])


@pytest.mark.parametrize("op", ["FlipX", "FlipY", "TranslateXAbs", "Rotate"])
@pytest.mark.parametrize("index", range(4))
def test_rotated_boxes_go_where_torchvision_moves_them(op, index):
    one = policy((op, {"TranslateXAbs": 7, "Rotate": 17.5}.get(op)))
    value = value_of(one, seed=3, index=index)
    kernels = {
        "FlipX": functional.horizontal_flip,
        "FlipY": functional.vertical_flip,
        "Rotate": lambda it: functional.rotate(it, value),
        "TranslateXAbs": lambda it: functional.affine(
            it, angle=0, translate=[-int(value), 0], scale=1, shear=[0, 0]
        ),
    }
    boxes, image = rotated_boxes(), sample()["image"]
    moved = one((image, boxes), seed=3, index=index)[1]
    assert moved.format.name == "CXCYWHR" and moved.dtype == torch.float64
    assert torch.allclose(corners(moved), corners(kernels[op](boxes)), atol=1e-3)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("name", ["XYWHR", "XYXYXYXY"])
def test_all_formats_are_one_rotated_box(name, index):
    one, boxes, image = policy(("ShearX", 0.2), ("Rotate", 10)), rotated_boxes(), sample()["image"]
    key = {"seed": 4, "index": index}
    other = functional.convert_bounding_box_format(boxes, new_format=name)
    first, second = one((image, {"boxes": boxes}, [other]), **key)[1:]
    assert second[0].format.name == name and second[0].shape == other.shape
    assert torch.allclose(corners(second[0]), corners(first["boxes"]), atol=1e-4)
    array = one(
        image=image.movedim(0, -1).numpy(), rotated_bboxes=boxes.as_subclass(torch.Tensor).numpy(), **key
    )["rotated_bboxes"]
    assert np.array_equal(array, first["boxes"].numpy())
    same = policy(("Invert", None))((image, other), seed=1)[1]
    assert torch.equal(same, other)


def test_corners_that_are_no_rectangle_become_one_about_them():
    four = torch.tensor([[30.0, 20, 50, 20, 52, 30, 30, 28]])
    four = tv_tensors.BoundingBoxes(four, format="XYXYXYXY", canvas_size=SIZE)
    moved = policy(("FlipX", None))((sample()["image"], four), seed=1)[1]
    xs, ys = moved[0, ::2], moved[0, 1::2]
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (28, 50, 20, 30)


def test_all_frames_of_a_video_have_one_draw():
    one, given = policy(("Rotate", 25), ("TranslateXAbs", 7)), sample()
    frames = torch.stack([given["image"], 255 - given["image"], given["image"] // 2])
    for index in range(4):
        key = {"seed": 1, "index": index}
        moved, target = one((tv_tensors.Video(frames), given["target"]), **key)
        assert type(moved) is tv_tensors.Video
        assert torch.equal(one(tv_tensors.Video(frames), **key), moved)
        for frame, source in zip(moved, frames, strict=True):
            assert torch.equal(frame, one(source, **key))
        alone = one(given, **key)["target"]
        assert torch.equal(target["masks"], alone["masks"])
        assert torch.equal(target["boxes"], alone["boxes"])
        # A plain batch has a draw per image, and `batch` takes the index of each.
        batch = one(frames, **key)
        assert torch.equal(batch[0], moved[0]) and torch.equal(batch[1], one(frames[1], seed=1, index=index + 1))
        indices = [index, index + 1, index + 2]
        assert torch.equal(one.batch(tv_tensors.Video(frames), seed=1, indices=indices), batch)
        # A mask for each frame moves as each frame does.
        masks = tv_tensors.Mask(given["target"]["masks"].reshape(3, 4, *SIZE))
        clip = one((tv_tensors.Video(frames), masks), **key)[1]
        assert torch.equal(clip.reshape(12, *SIZE), alone["masks"])
    empty = tv_tensors.Video(frames[:0])
    with pytest.raises(ValueError, match="a single image or a clip"):
        one((empty, given["target"]), seed=1)


def test_further_images_have_the_draw_of_the_first():
    one, given = policy(("Rotate", 25)), sample()
    right = tv_tensors.Image(255 - given["image"])
    plain = torch.zeros(3, *SIZE, dtype=torch.uint8)
    left, others, label = one((given["image"], {"right": right, "plain": plain}, 3), seed=1)
    assert torch.equal(left, one(given["image"], seed=1))
    assert type(others["right"]) is tv_tensors.Image
    assert torch.equal(others["right"], one(right, seed=1))
    assert others["plain"] is plain and label == 3


def test_masks_are_moved_as_arrays_are():
    one, given = policy(("Rotate", 25)), sample()
    image = given["image"].movedim(0, -1).numpy()
    mask = given["target"]["masks"]
    wanted = one(image=image, mask=mask.numpy(), seed=1)["mask"]
    assert np.array_equal(one(given, seed=1)["target"]["masks"].numpy(), wanted)
    truth = one(given | {"target": tv_tensors.Mask(mask == 1)}, seed=1)["target"]
    assert truth.dtype == torch.bool and np.array_equal(truth.numpy(), wanted == 1)
    with pytest.raises(TypeError, match="call `mask.to"):
        one(given | {"target": tv_tensors.Mask(mask.long())}, seed=1)


def test_it_is_a_transform_of_a_detection_pipeline():
    pipeline = v2.Compose([policy(("TranslateX", 0.45)), v2.SanitizeBoundingBoxes()])
    given = sample()
    torch.manual_seed(1)
    counts = set()
    for _ in range(8):
        _, target = pipeline((given["image"], given["target"]))
        assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"])
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
        counts.add(len(target["labels"]))
    assert counts and max(counts) <= 12


def test_boxes_of_another_size_are_refused():
    given = sample()
    other = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(10, 10))
    with pytest.raises(ValueError, match="boxes and keypoints are of images of"):
        policy(("FlipX", None))((given["image"], given["target"], other), seed=1)
    with pytest.raises(ValueError, match="those of an image of"):
        policy(("FlipX", None))((given["image"], other), seed=1)
