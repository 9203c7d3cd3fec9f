"""The images of the task ``cifar10``, read from the folder ``GENNAS_DATA``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from gennas.tasks.base import ImageSource, Split, Splits, balanced, stratified

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN, _TEST = ("train_a.npz", "train_b.npz"), ("test.npz",)
_HELD_OUT = 0.2
# The validation split is part of the task, not of a run.
_SPLIT_SEED = 201


@dataclass(frozen=True)
class Cifar10(ImageSource):
    """Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 60,000 images, stored as JPEG.

    The 50,000 training images are split into 40,000 for training and 10,000 for validation, stratified by class.
    (NAS-Bench-201 uses halves, which were not published.) The 10,000 test images are those of the data set.

    Attributes:
        folder: folder with ``train_a.npz``, ``train_b.npz`` and ``test.npz``; in each, ``jpeg`` holds the concatenated
            files, ``offsets`` their boundaries and ``labels`` their classes.
    """

    folder: Path

    @classmethod
    def found(cls) -> Cifar10 | None:
        """The images in the folder ``GENNAS_DATA``; None if they are not there."""
        data = os.environ.get("GENNAS_DATA")
        folder = Path(data or "").resolve() / "cifar10"
        return cls(folder) if data and all((folder / name).is_file() for name in (*_TRAIN, *_TEST)) else None

    @property
    def train(self) -> Archives:
        """The 50,000 training images, as files."""
        return Archives(self.folder, _TRAIN)

    @property
    def test(self) -> Archives:
        """The 10,000 test images, as files."""
        return Archives(self.folder, _TEST)

    def read(self, seed: int) -> Splits:
        """40,000 train, 10,000 validation and 10,000 test images; the seed determines the validation images."""
        everything, test = self.train, self.test
        val, train = stratified(everything.labels, (_HELD_OUT,), _SPLIT_SEED + seed)
        return Splits(everything.decoded(train), everything.decoded(val), test.decoded(np.arange(len(test.labels))))

    def sample(self, count: int, seed: int) -> Split:
        """Decodes the sampled images only; see :meth:`ImageSource.sample`."""
        everything = self.train
        _, train = stratified(everything.labels, (_HELD_OUT,), _SPLIT_SEED + seed)
        return everything.decoded(train[balanced(everything.labels[train], count, seed)])


class Archives:
    """The JPEG files of some archives, concatenated.

    Attributes:
        labels: ``(n,)`` int64, their classes.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.jpegs: list[bytes] = []
        labels = []
        for name in names:
            with np.load(folder / name, allow_pickle=False) as arrays:
                joined, offsets = arrays["jpeg"].tobytes(), arrays["offsets"].tolist()
                labels.append(arrays["labels"].astype(np.int64))
            self.jpegs += [joined[begin:end] for begin, end in itertools.pairwise(offsets)]
        self.labels = np.concatenate(labels)

    def decoded(self, rows: np.ndarray) -> Split:
        """The images and labels at these indices."""
        from PIL import Image

        images = np.empty((len(rows), 3, 32, 32), dtype=np.uint8)
        for index, row in enumerate(rows):
            images[index] = np.asarray(Image.open(BytesIO(self.jpegs[row])).convert("RGB")).transpose(2, 0, 1)
        return Split(images, self.labels[rows])
