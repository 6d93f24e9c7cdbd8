"""Grain: `dataset.map_with_index(faa.grain.Augment(policy, seed))`."""

from dataclasses import dataclass
from typing import Any

from grain.transforms import MapWithIndex

from faa._policy import Policy
from faa._targets import TargetOptions


@dataclass(frozen=True)
class Augment(MapWithIndex):  # type: ignore[misc, unused-ignore]
    """Augments each element. Grain's index goes on from epoch to epoch, and so is the whole key."""

    policy: Policy
    seed: int
    target_options: TargetOptions | None = None

    def map_with_index(self, index: int, element: Any) -> Any:
        return self.policy(
            element, seed=self.seed, index=index, target_options=self.target_options
        )
