"""A detection training in the shape of torchvision's reference, with a policy as its transform: a few steps."""

import math

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.transforms import v2

import faa
import faa.torch

HEIGHT, WIDTH, CLASSES = 96, 128, 3


class Shapes(Dataset):
    """Bright rectangles and frames on noise, with the entries that COCO's targets have."""

    def __init__(self, count, transform=None):
        self.count, self.transform = count, transform

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)

        def below(limit):
            return int(torch.randint(limit, (), generator=generator))

        image = torch.randint(0, 90, (3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
        boxes, labels, masks = [], [], []
        for _ in range(1 + below(3)):
            width, height = 20 + below(30), 20 + below(30)
            left, top = below(WIDTH - width), below(HEIGHT - height)
            label = 1 + below(CLASSES - 1)
            mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
            mask[top : top + height, left : left + width] = 1
            if label == 2:
                mask[top + 6 : top + height - 6, left + 6 : left + width - 6] = 0
            image[:, mask == 1] = 160 + 30 * label
            boxes.append([left, top, left + width, top + height])
            labels.append(label)
            masks.append(mask)
        target = {
            "image_id": index,
            "boxes": tv_tensors.BoundingBoxes(
                boxes, format="XYXY", canvas_size=(HEIGHT, WIDTH), dtype=torch.float32
            ),
            "labels": torch.tensor(labels),
            "masks": tv_tensors.Mask(torch.stack(masks)),
            "iscrowd": torch.zeros(len(boxes), dtype=torch.int64),
        }
        sample = tv_tensors.Image(image), target
        return sample if self.transform is None else self.transform(*sample)


class Sanitized(Dataset):
    """The samples of a data set without what was dropped, and with images of floats."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.finish = v2.Compose(
            [
                v2.SanitizeBoundingBoxes(labels_getter=lambda it: (it[1]["labels"], it[1]["iscrowd"])),
                v2.ToDtype(torch.float32, scale=True),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.finish(self.dataset[index])


def collate(batch):
    return tuple(zip(*batch, strict=True))


def check(images, targets):
    """Boxes are of the image, and about what is left of their objects."""
    for image, target in zip(images, targets, strict=True):
        boxes, masks = target["boxes"], target["masks"]
        assert image.dtype == torch.float32 and image.shape == (3, HEIGHT, WIDTH)
        assert len(boxes) == len(masks) == len(target["labels"]) == len(target["iscrowd"])
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes[:, 2] <= WIDTH).all() and (boxes[:, 3] <= HEIGHT).all()
        for box, mask in zip(boxes, masks, strict=True):
            rows, columns = mask.nonzero(as_tuple=True)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            # Half a pixel of rounding for each of two steps; a corner of a turned frame can have no pixel.
            assert box[0] <= seen[0] + 1.1 and box[1] <= seen[1] + 1.1
            assert box[2] >= seen[2] - 1.1 and box[3] >= seen[3] - 1.1
            assert (box - torch.tensor(seen)).abs().max() < 8


def test_a_detector_learns_from_augmented_samples():
    torch.manual_seed(0)
    policy = faa.load("trivialaugment-detection")
    options = faa.TargetOptions(min_visible=0.2)
    augmented = faa.torch.Augmented(Shapes(64), policy, seed=1, target_options=options)
    loader = DataLoader(
        Sanitized(augmented), batch_size=2, shuffle=True, collate_fn=collate, num_workers=2,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES, min_size=HEIGHT, max_size=WIDTH,
        # Fewer candidates than by default, so that steps are short.
        rpn_pre_nms_top_n_train=200, rpn_post_nms_top_n_train=50, box_batch_size_per_image=32,
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    losses, moved = [], 0
    for step, (images, targets) in zip(range(6), loader):
        check(images, targets)
        for target in targets:
            original = Shapes(64)[target["image_id"]][1]["boxes"]
            moved += not torch.equal(target["boxes"], original.as_subclass(torch.Tensor))
        parts = model(list(images), [dict(target) for target in targets])
        loss = sum(parts.values())
        assert math.isfinite(loss.item()), (step, parts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert moved > 0, "nothing was augmented geometrically"
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    print(f"losses {losses[0]:.3f} to {losses[-1]:.3f}, {moved} of 12 samples moved")


def test_it_takes_the_place_of_the_reference_s_transform():
    """Called as `transform(image, target)`, as torchvision's presets for detection are, here in a pipeline of v2."""
    finish = v2.Compose([v2.SanitizeBoundingBoxes(), v2.ToDtype(torch.float32, scale=True)])
    policy = faa.load("trivialaugment-detection")

    def transform(image, target):
        return finish(policy((image, target), target_options=faa.TargetOptions(min_visible=0.2)))

    torch.manual_seed(1)
    dataset = Shapes(8, transform)
    images, targets = collate([dataset[index] for index in range(8)])
    check(images, targets)
    # Without a key it draws as torch does.
    torch.manual_seed(1)
    again, _ = collate([dataset[index] for index in range(8)])
    assert all(torch.equal(one, other) for one, other in zip(images, again, strict=True))
