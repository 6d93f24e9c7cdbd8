"""The package with torch and torchvision."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms, tv_tensors
from torchvision.transforms import functional, v2

import faa
import faa.torch

POLICY = faa.load("autoaugment-cifar10")
KEY = {"seed": 3, "epoch": 2, "index": 11}


def images(count=8, channels=3, height=30, width=20):
    generator = torch.Generator().manual_seed(count)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def by_numpy(image, **key):
    """A CHW tensor's result by way of an array."""
    array = np.ascontiguousarray(image.movedim(0, -1).numpy())
    return torch.from_numpy(POLICY(array, **key)).movedim(-1, 0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors_have_the_pixels_of_arrays(channels):
    batch = images(channels=channels)
    wanted = torch.stack([
        by_numpy(image, seed=3, epoch=2, index=index) for index, image in enumerate(batch)
    ])
    assert not torch.equal(wanted, batch)
    assert torch.equal(POLICY(batch[5], seed=3, epoch=2, index=5), wanted[5])
    assert torch.equal(POLICY(batch, seed=3, epoch=2), wanted)
    for threads in (1, 2):
        assert torch.equal(POLICY.batch(batch, seed=3, epoch=2, threads=threads), wanted)
    order = torch.tensor([5, 2, 0])
    assert torch.equal(POLICY.batch(batch[order], seed=3, epoch=2, indices=order), wanted[order])
    last = batch.contiguous(memory_format=torch.channels_last)
    result = POLICY.batch(last, seed=3, epoch=2)
    assert torch.equal(result, wanted) and result.stride() == last.stride()
    out = torch.empty_like(batch)
    assert POLICY.batch(batch, seed=3, epoch=2, out=out) is out
    assert torch.equal(out, wanted)
    assert POLICY(last, seed=3, epoch=2, out=last) is last
    assert torch.equal(last, wanted)
    part = batch[:, :, 3:20, 2:17]
    whole = [by_numpy(image, seed=3, index=index) for index, image in enumerate(part)]
    assert torch.equal(POLICY.batch(part, seed=3), torch.stack(whole))
    grey = batch[0, 0]
    assert torch.equal(POLICY(grey, **KEY), by_numpy(grey[None], **KEY)[0])


def test_type_errors_say_what_to_call():
    image = images(1)[0]
    for sample, why in [
        (image / 255, r"torch\.float32 cannot be augmented.*round\(\)\.to\(torch\.uint8\)"),
        (image.int(), r"torch\.int32 cannot be augmented.*image\.to\(torch\.uint8\)"),
        (image.to("meta"), r"on meta cannot be augmented.*data loader.*image\.cpu\(\)"),
        (image.to_sparse(), r"image\.to_dense\(\)"),
        (image.movedim(0, -1), r"image\.movedim\(-1, -3\)"),
        (image.ravel(), "is not HW or CHW or NCHW"),
    ]:
        with pytest.raises(TypeError, match=why):
            POLICY(sample, **KEY)
    with pytest.raises(TypeError, match="`out` must be a tensor"):
        POLICY(image, out=image.numpy(), **KEY)
    with pytest.raises(ValueError, match="several samples in one place"):
        POLICY(image, out=image[:1].clone().expand(3, -1, -1), **KEY)


def test_without_a_key_draws_come_from_torch():
    image, draws = images(1)[0], []
    for _ in range(2):
        torch.manual_seed(9)
        draws.append([POLICY(image).numpy().tobytes() for _ in range(20)])
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 5


def test_a_policy_is_a_transform():
    image = Image.fromarray(images(1)[0].movedim(0, -1).numpy())
    old = transforms.Compose([transforms.RandomHorizontalFlip(), POLICY, transforms.ToTensor()])
    assert old(image).shape == (3, 30, 20)
    new = v2.Compose([v2.ToImage(), POLICY, v2.ToDtype(torch.float32, scale=True)])
    tensor = new(image)
    assert tensor.shape == (3, 30, 20) and tensor.dtype == torch.float32
    assert type(tensor) is tv_tensors.Image


def test_tv_tensors_stay_tv_tensors():
    plain = images(1)[0]
    wanted = by_numpy(plain, **KEY)
    result = POLICY(tv_tensors.Image(plain), **KEY)
    assert type(result) is tv_tensors.Image and torch.equal(result.as_subclass(torch.Tensor), wanted)
    video = tv_tensors.Video(images())
    frames = POLICY.batch(video, seed=3)
    assert type(frames) is tv_tensors.Video
    assert torch.equal(frames.as_subclass(torch.Tensor), POLICY.batch(images(), seed=3))
    for out in (torch.empty_like(plain), tv_tensors.Image(torch.empty_like(plain))):
        assert POLICY(tv_tensors.Image(plain), out=out, **KEY) is out
        assert torch.equal(out.as_subclass(torch.Tensor), wanted)
    # Of other subclasses, the result is a tensor.
    parameter = torch.nn.Parameter(plain, requires_grad=False)
    assert type(POLICY(parameter, **KEY)) is torch.Tensor


def test_targets_are_no_images():
    plain = images(1)[0]
    boxes = {"format": "XYXY", "canvas_size": (9, 9)}
    points = {"canvas_size": (9, 9)}
    targets = [
        tv_tensors.Mask(plain),
        tv_tensors.BoundingBoxes(torch.zeros(1, 4), **boxes),
        tv_tensors.KeyPoints(torch.zeros(1, 2), **points),
    ]
    for target in targets:
        for call in (lambda it: POLICY(it, **KEY), lambda it: POLICY((it, 3)), lambda it: POLICY(image=it)):
            with pytest.raises(TypeError, match=f"{type(target).__name__} is not an image.*on the image"):
                call(target)
    # Behind an image, one moves along.
    assert type(POLICY((tv_tensors.Image(plain), targets[0]), **KEY)[1]) is tv_tensors.Mask



class Pairs:
    """A data set of images and labels."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return images(24)[index], index


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_epochs_reach_persistent_workers_and_can_be_resumed(method):
    def epoch_of(dataset, loader, epoch):
        dataset.set_epoch(epoch)
        assert dataset.epoch == epoch
        samples = [pair for batch, labels in loader for pair in zip(batch, labels, strict=True)]
        return {int(label): image for image, label in samples}

    def loader_of(dataset, persistent):
        return DataLoader(
            dataset,
            batch_size=5,
            shuffle=True,
            num_workers=2,
            persistent_workers=persistent,
            multiprocessing_context=method,
        )

    dataset = faa.torch.Augmented(Pairs(), POLICY, seed=7)
    loader = loader_of(dataset, True)
    epochs = [epoch_of(dataset, loader, epoch) for epoch in range(2)]
    for epoch, found in enumerate(epochs):
        assert len(found) == 24
        for index, image in found.items():
            wanted = by_numpy(images(24)[index], seed=7, epoch=epoch, index=index)
            assert torch.equal(image, wanted)
    assert any(not torch.equal(epochs[0][index], epochs[1][index]) for index in range(24))

    resumed = faa.torch.Augmented(Pairs(), pickle.loads(pickle.dumps(POLICY)), seed=7)
    again = epoch_of(resumed, loader_of(resumed, False), 1)
    assert all(torch.equal(again[index], epochs[1][index]) for index in range(24))
    assert torch.equal(resumed[-1][0], again[23])


@pytest.mark.parametrize(
    ("op", "value", "own"),
    [
        ("Rotate", 23.0, lambda image: functional.rotate(image, 23.0)),
        ("Rotate", -90.0, lambda image: functional.rotate(image, -90.0)),
        ("Posterize", 5.0, lambda image: functional.posterize(image, 5)),
        ("Solarize", 100.0, lambda image: functional.solarize(image, 100)),
        ("AutoContrast", 0.0, functional.autocontrast),
        ("Equalize", 0.0, functional.equalize),
        ("Invert", 0.0, functional.invert),
        ("FlipX", 0.0, functional.hflip),
        ("FlipY", 0.0, functional.vflip),
        ("Brightness", 1.3, lambda image: functional.adjust_brightness(image, 1.3)),
        ("Contrast", 0.4, lambda image: functional.adjust_contrast(image, 0.4)),
        ("Color", 1.7, lambda image: functional.adjust_saturation(image, 1.7)),
        ("Sharpness", 0.3, lambda image: functional.adjust_sharpness(image, 0.3)),
    ],
)
def test_ops_have_the_pixels_of_torchvision_on_pil_images(op, value, own):
    # Not of all levels, which AutoContrast would leave as they are.
    for image in images(4, height=48, width=48) // 2 + 40:
        image = Image.fromarray(image.movedim(0, -1).numpy())
        plan = {"steps": [{"step": 0, "op": op, "value": value, "seed": 0}]}
        found, wanted = POLICY.replay(image, plan), own(image)
        assert found.tobytes() == wanted.tobytes()
        assert found.tobytes() != image.tobytes()


def test_tensors_are_augmented_where_numpy_is_missing():
    script = """
import sys
sys.modules["numpy"] = None
import torch, faa
image = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
print(faa.load("randaugment")(image, seed=4).flatten().tolist())
"""
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=True, stdout=subprocess.PIPE, text=True
    )
    image = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
    wanted = faa.load("randaugment")(image, seed=4).flatten().tolist()
    assert printed.stdout.strip() == str(wanted)


def test_the_readme_s_example_runs(tmp_path):
    text = Path(__file__).parents[1].joinpath("README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    examples = [example for example in examples if "import torch" in example]
    assert examples
    for example in examples:
        (tmp_path / "example.py").write_text(example)
        subprocess.run([sys.executable, tmp_path / "example.py"], check=True, timeout=300)
