"""recalibrated: an arch's accuracy with the weights of a supernet, in seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from torch import nn

from gennas.arch import Arch
from gennas.spaces import Space
from gennas.supernets.base import Supernet
from gennas.tasks import Split, Task
from gennas.tasks.base import balanced
from gennas.training.accelerator import accelerator
from gennas.training.batch_norm import settle_batch_norm
from gennas.training.batches import Normalisation
from gennas.training.memory import halving
from gennas.training.quality import Predictions, predict

#: Training images that the statistics of batch norms are made of, and how many at a time. Twice as many take 1.6 times
#: as long, and changed the accuracies of eight archs by 0.014 on average, two of 144 images.
IMAGES, BATCH = 256, 128


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """An arch with inherited weights.

    Attributes:
        network: with statistics of its own, in evaluation mode, on the CPU.
        predictions: for the validation images.
        seconds: that it took.
    """

    network: nn.Module
    predictions: Predictions
    seconds: float

    @property
    def accuracy(self) -> float:
        """The fraction of correctly classified validation images."""
        return self.predictions.accuracy


class Recalibration:
    """Evaluates archs with the weights of a supernet, one after the other.

    Images are resized once for each resolution, and kept: resizing them takes longer than a small network does.

    Args:
        supernet: on any device; it stays as it is.
        task: has the images.
        images: training images, at most, for the statistics of batch norms; balanced over the classes.
        seed: chooses them.
    """

    def __init__(self, supernet: Supernet, task: Task, images: int = IMAGES, seed: int = 0) -> None:
        self.supernet, self.task, self.seed, self.images = supernet, task, seed, images
        self.normalise = Normalisation.of(supernet.space, task)
        self._kept: dict[tuple[int, ...], tuple[Split, Split]] = {}

    def __call__(self, arch: Arch) -> Recalibrated:
        """The arch's network with statistics of its own, and what it makes of the validation images."""
        start = time.perf_counter()
        task = native_task(self.supernet.space, arch, self.task)
        train, val = self._splits(task)
        network = self.supernet.inherit(arch, task).to(accelerator())
        halving(lambda size: settle_batch_norm(network, train, self.normalise, self.seed, size), BATCH)
        predictions = predict(network, val, self.normalise, BATCH)
        return Recalibrated(network.cpu(), predictions, time.perf_counter() - start)

    def _splits(self, task: Task) -> tuple[Split, Split]:
        key = task.input_shape
        if key not in self._kept:
            splits = task.splits()
            rows = balanced(splits.train.labels, self.images, self.seed)
            self._kept[key] = splits.train.take(rows), splits.val
        return self._kept[key]


def native_task(space: Space, arch: Arch, task: Task) -> Task:
    """The task with images of the arch's own size, unless they would have to be made larger than they are."""
    native = space.native_task(arch, task)
    return native if native.input_shape[1] <= task.input_shape[1] else task


def recalibrated(supernet: Supernet, arch: Arch, task: Task, images: int = IMAGES, seed: int = 0) -> Recalibrated:
    """One arch with inherited weights; for several, a :class:`Recalibration` resizes images only once.

    Args:
        supernet: whose weights are inherited.
        arch: of its space.
        task: has the images.
        images: training images, at most, for the statistics of batch norms.
        seed: chooses them.
    """
    return Recalibration(supernet, task, images, seed)(arch)
