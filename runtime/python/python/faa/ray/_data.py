"""Ray Data, in batches of NumPy arrays."""

from dataclasses import dataclass
from typing import Any

from faa._policy import Policy


@dataclass(frozen=True)
class Augment:
    """Augments the column `image`; the column `index` has each sample's index."""

    policy: Policy
    seed: int
    epoch: int = 0
    image: str = "image"
    index: str = "index"

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images, indices = batch[self.image], batch[self.index]
        if images.dtype != object:
            images = self.policy.batch(images, seed=self.seed, epoch=self.epoch, indices=indices)
            return {**batch, self.image: images}
        # Images of several sizes.
        result = images.copy()
        for at, (image, index) in enumerate(zip(images, indices, strict=True)):
            result[at] = self.policy(image, seed=self.seed, epoch=self.epoch, index=int(index))
        return {**batch, self.image: result}
