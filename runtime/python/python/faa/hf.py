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
        def augmented(image: Any, index: Any = 0) -> Any:
            return self.policy(image, seed=self.seed, epoch=self.epoch, index=int(index))

        columns = [batch[name] for name in (self.image, self.index) if name is not None]
        return {**batch, self.image: list(map(augmented, *columns))}
