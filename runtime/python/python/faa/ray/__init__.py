"""Ray: searches on a cluster (`search`, `train`, `python -m faa.ray`), and policies in Ray Data.

In Ray Data: `dataset.map_batches(faa.ray.Augment(policy, seed))`.
"""

from faa.ray._data import Augment
from faa.ray._driver import search, train
from faa.ray._job import JobError, SetUpError

__all__ = ["Augment", "JobError", "SetUpError", "search", "train"]
