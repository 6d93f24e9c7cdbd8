"""Adapters for loaders. Those of torch are tested by `cargo xtask python --torch`."""

import hashlib
import pickle
import sys
import types

import numpy as np
import pytest
from conftest import batch, image
from PIL import Image

import faa
import faa.hf
import faa.ray
import faa.webdataset

POLICY = faa.load("trivialaugment-wide")


def single(pixels, index, epoch=0):
    return POLICY(pixels, seed=4, epoch=epoch, index=index)


def test_hugging_face_columns():
    pixels = [Image.fromarray(image(seed=seed, width=20 + seed)) for seed in range(5)]
    rows = {"image": pixels, "label": [1, 2, 3, 4, 5], "id": [9, 7, 5, 3, 1]}
    transform = faa.hf.Transform(POLICY, seed=4, index="id", epoch=2)
    result = pickle.loads(pickle.dumps(transform))(rows)
    assert (result["label"], result["id"]) == (rows["label"], rows["id"])
    for own, given, index in zip(result["image"], pixels, rows["id"], strict=True):
        assert own.tobytes() == single(given, index, epoch=2).tobytes()
    unkeyed = faa.hf.Transform(POLICY, image="image")(rows)
    assert [own.size for own in unkeyed["image"]] == [given.size for given in pixels]
    for half in [{"seed": 1}, {"index": "id"}]:
        with pytest.raises(TypeError, match="belong together"):
            faa.hf.Transform(POLICY, **half)


def test_webdataset_keys():
    pixels = image()
    transform = pickle.loads(pickle.dumps(faa.webdataset.Augment(POLICY, seed=4, epoch=3)))
    for key in ("shard/0001", "shard/0002"):
        index = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
        result = transform({"__key__": key, "png": pixels, "cls": 3})
        assert (result["png"] == single(pixels, index, epoch=3)).all()
        assert (result["__key__"], result["cls"]) == (key, 3)
    with pytest.raises(TypeError, match="'__key__', 'tiff'"):
        transform({"__key__": "a", "tiff": pixels})


def test_ray_batches():
    pixels, indices = batch(6), np.array([5, 3, 8, 0, 1, 2])
    transform = pickle.loads(pickle.dumps(faa.ray.Augment(POLICY, seed=4, index="id", epoch=1)))
    result = transform({"image": pixels, "id": indices, "label": indices})
    assert result["label"] is indices
    for own, given, index in zip(result["image"], pixels, indices, strict=True):
        assert (own == single(given, int(index), epoch=1)).all()
    several = np.empty(2, object)
    several[0], several[1] = image(width=9), image(width=11)
    result = transform({"image": several, "id": indices[:2]})["image"]
    for own, given, index in zip(result, several, indices, strict=False):
        assert (own == single(given, int(index), epoch=1)).all()


def test_grain_elements(monkeypatch):
    class MapWithIndex:
        """What Grain's class of this name is to its subclasses."""

    transforms = types.ModuleType("grain.transforms")
    transforms.MapWithIndex = MapWithIndex
    monkeypatch.setitem(sys.modules, "grain", types.ModuleType("grain"))
    monkeypatch.setitem(sys.modules, "grain.transforms", transforms)
    import faa.grain

    transform = faa.grain.Augment(POLICY, seed=4)
    assert isinstance(transform, MapWithIndex)
    result = transform.map_with_index(17, {"image": image(), "label": 2})
    assert result["label"] == 2
    assert (result["image"] == single(image(), 17)).all()
