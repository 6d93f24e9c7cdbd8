"""torch: a data set whose samples are augmented by key."""

from typing import Any

import torch
from torch.utils.data import Dataset

from faa._policy import Policy
from faa._targets import TargetOptions


class Augmented(Dataset[Any]):  # type: ignore[misc, unused-ignore]
    """A map-style data set whose images are augmented by `policy`, under `seed`.

    Sample `i` is `policy(dataset[i], seed=seed, epoch=epoch, index=i, target_options=target_options)`, whichever
    worker loads it.
    Call `set_epoch` before each epoch, as for `DistributedSampler`: a training that is resumed at an epoch
    then sees what it would have seen.
    """

    def __init__(
        self, dataset: Any, policy: Policy, seed: int, target_options: TargetOptions | None = None
    ) -> None:
        self.dataset = dataset
        self.policy = policy
        self.seed = seed
        self.target_options = target_options
        # Workers have copies of the data set, and persistent ones keep theirs: memory is shared.
        epoch = torch.zeros((), dtype=torch.int64)
        self._epoch = epoch.share_memory_()  # type: ignore[no-untyped-call, unused-ignore]

    @property
    def epoch(self) -> int:
        """The epoch, 0 at first."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, in all workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        sample = self.dataset[index]
        index = index + len(self) if index < 0 else index
        return self.policy(
            sample,
            seed=self.seed,
            epoch=self.epoch,
            index=int(index),
            target_options=self.target_options,
        )
