"""Some of CIFAR-10's images at half their side, for benchmarks that train on a processor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.errors import DataMissingError
from gennas.tasks import Split, Task
from gennas.tasks.base import ImageSource, Splits, balanced
from gennas.tasks.cifar10 import CLASSES, Cifar10


@dataclass(frozen=True)
class Subset(ImageSource):
    """Equally many images of each class.

    Attributes:
        whole: all images.
        train: how many of the training images.
        val: how many of the validation images, and of the test images.
        halvings: how often the sides of images are halved, by means of 2x2 pixels.
    """

    whole: Cifar10
    train: int
    val: int
    halvings: int = 1

    def read(self, seed: int) -> Splits:
        splits = self.whole.read(0)
        assert splits.test is not None
        counts = (self.train, self.val, self.val)
        train, val, test = (
            self._halved(split.take(balanced(split.labels, count, seed)))
            for split, count in zip((splits.train, splits.val, splits.test), counts, strict=True)
        )
        return Splits(train, val, test)

    def _halved(self, split: Split) -> Split:
        images = split.images
        for _ in range(self.halvings):
            n, channels, height, width = images.shape
            blocks = images.reshape(n, channels, height // 2, 2, width // 2, 2).astype(np.uint16)
            images = ((blocks.sum((3, 5)) + 2) // 4).astype(np.uint8)
        return Split(images, split.labels)


def subset(train: int, val: int, halvings: int = 1) -> Task:
    """The task of such images; see :class:`Subset`.

    Raises:
        DataMissingError: the images of CIFAR-10 are not there.
    """
    found = Cifar10.found()
    if found is None:
        raise DataMissingError("CIFAR-10's images are not there; set GENNAS_DATA to the folder that has cifar10/.")
    side = 32 >> halvings
    return Task("cifar10", (3, side, side), 10, CLASSES, Subset(found, train, val, halvings))
