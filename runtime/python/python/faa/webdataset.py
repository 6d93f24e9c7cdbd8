"""WebDataset: `dataset.decode("pil").map(faa.webdataset.Augment(policy, seed))`."""

import hashlib
from dataclasses import dataclass
from typing import Any

from faa._policy import Policy


@dataclass(frozen=True)
class Augment:
    """Augments the first entry of `images` that a sample has; its index is made from its `__key__`."""

    policy: Policy
    seed: int
    epoch: int = 0
    images: tuple[str, ...] = ("jpg", "jpeg", "png", "webp", "image")

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        name = next((name for name in self.images if name in sample), None)
        if name is None:
            raise TypeError(f"the sample has none of {self.images}: its entries are {tuple(sample)}")
        index = index_of(sample["__key__"])
        image = self.policy(sample[name], seed=self.seed, epoch=self.epoch, index=index)
        return {**sample, name: image}


def index_of(key: str) -> int:
    """The index of the sample with this key: the first eight bytes of its SHA-256, the lowest first."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
