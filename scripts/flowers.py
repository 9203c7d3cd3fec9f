"""The task of real photos that supernets are measured on: a subset of the Oxford Flowers, below ``GENNAS_DATA``."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from gennas.errors import DataMissingError
from gennas.tasks import Split, Task
from gennas.tasks.base import ImageSource, Splits, stratified

#: Share of the training images that archs are selected by, in every class.
_HELD_OUT, _SPLIT_SEED = 0.2, 201


@dataclass(frozen=True)
class Flowers(ImageSource):
    """Photos of 224 pixels.

    Attributes:
        path: of ``flowers12.npz``.
        classes: the first ones, of 12.
        images: training images of each class, those for validation among them.
    """

    path: Path
    classes: int
    images: int

    def read(self, seed: int) -> Splits:
        with np.load(self.path, allow_pickle=False) as arrays:
            known, test = (self._split(arrays, part) for part in ("train", "test"))
        rows = [np.flatnonzero(known.labels == label)[: self.images] for label in range(self.classes)]
        known = known.take(np.concatenate(rows))
        val, train = stratified(known.labels, (_HELD_OUT,), _SPLIT_SEED + seed)
        return Splits(known.take(train), known.take(val), test)

    def _split(self, arrays: np.lib.npyio.NpzFile, part: str) -> Split:
        joined, labels = arrays[f"{part}_jpeg"].tobytes(), arrays[f"{part}_labels"].astype(np.int64)
        bounds = list(itertools.pairwise(arrays[f"{part}_offsets"].tolist()))
        rows = np.flatnonzero(labels < self.classes)
        images = np.empty((len(rows), 3, 224, 224), np.uint8)
        for place, row in enumerate(rows):
            begin, end = bounds[row]
            images[place] = np.asarray(Image.open(BytesIO(joined[begin:end])).convert("RGB")).transpose(2, 0, 1)
        return Split(images, labels[rows])


def flowers(classes: int = 12, images: int = 60) -> Task:
    """The task.

    Args:
        classes: the first ones, of 12.
        images: training images of each class, of 60; a fifth of them is for validation.

    Raises:
        DataMissingError: the photos are not there.
    """
    path = Path(os.environ.get("GENNAS_DATA", "")) / "photos" / "flowers12.npz"
    if not path.is_file():
        raise DataMissingError(f"there are no photos at {path}; GENNAS_DATA names the folder that holds photos/.")
    with np.load(path, allow_pickle=False) as arrays:
        names = tuple(str(name) for name in arrays["classes"][:classes])
    name = f"flowers{classes}x{images}"
    return Task(name, (3, 224, 224), classes, names, Flowers(path.resolve(), classes, images))
