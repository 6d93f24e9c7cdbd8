"""Hugging Face datasets: `dataset.with_transform(faa.hf.Transform(policy))`."""

from dataclasses import dataclass
from typing import Any

from faa._policy import Policy


@dataclass(frozen=True)
class Transform:
    """Augments the column `image`. With a `seed`, `index` names the column with each sample's index."""

    policy: Policy
    image: str = "image"
    seed: int | None = None
    index: str | None = None
    epoch: int = 0

    def __post_init__(self) -> None:
        if (self.seed is None) != (self.index is None):
            raise TypeError("`seed` and `index` belong together: a key has both")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = batch[self.image]
        indices = [0] * len(images) if self.index is None else batch[self.index]
        images = [
            self.policy(image, seed=self.seed, epoch=self.epoch, index=int(index))
            for image, index in zip(images, indices, strict=True)
        ]
        return {**batch, self.image: images}
