"""The images of a tiny task, made from its name when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from gennas.tasks.base import ImageSource, Split, Splits
from gennas.tasks.tiny.changes import Change
from gennas.tasks.tiny.drawing import Origin

_VAL, _TEST = 250, 1000


@dataclass(frozen=True)
class TinyImages(ImageSource):
    """Images of 3x16x16 pixels from an origin, changed.

    Attributes:
        name: of the task; with the seed of :meth:`read` it determines every image.
        origin: draws images, or picks real ones.
        train: number of training images.
        changes: what is done to the images of all splits, in this order.
        wrong: share of training images whose label is one of the other classes, at random; the labels of validation
            and test images are right.
    """

    name: str
    origin: Origin
    train: int
    changes: tuple[Change, ...] = ()
    wrong: float = 0.0

    def read(self, seed: int) -> Splits:
        """The training images, 250 validation and 1,000 test images, or the rest where fewer real ones are left.

        Raises:
            DataMissingError: the images of CIFAR-10 are needed, and are not on this machine.
        """
        root = np.random.SeedSequence([crc32(self.name.encode()), seed])
        drawing, changing, erring = (np.random.default_rng(branch) for branch in root.spawn(3))
        sets = self.origin.take((self.train, _VAL, _TEST), drawing)
        train, val, test = (self._split(images, labels, changing) for images, labels in sets)
        return Splits(Split(train.images, self._mislabelled(train.labels, erring)), val, test)

    def _split(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Split:
        for change in self.changes:
            images = change.apply(images, rng)
        return Split(np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8), labels.astype(np.int64))

    def _mislabelled(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        others = (labels + rng.integers(1, self.origin.classes, len(labels))) % self.origin.classes
        return np.where(rng.random(len(labels)) < self.wrong, others, labels)
