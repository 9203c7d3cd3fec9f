"""Tiny tasks of real images: handwritten digits, and photographs of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from gennas.errors import DataMissingError
from gennas.tasks.cifar10 import Archives, Cifar10
from gennas.tasks.tiny.drawing import SIDE, Origin, in_colour


@dataclass(frozen=True)
class Handwriting(Origin):
    """scikit-learn's handwritten digits, 8x8 pixels of which each is shown as 2x2; see :mod:`gennas.tasks.digits`.

    Args:
        groups: the digits of each class.
    """

    groups: tuple[tuple[int, ...], ...] = tuple((digit,) for digit in range(10))

    @property
    def classes(self) -> int:
        return len(self.groups)

    def take(self, counts: Sequence[int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        from sklearn.datasets import load_digits

        grey, labels = load_digits(return_X_y=True)
        images = in_colour((grey / 16).reshape(-1, 8, 8).repeat(2, axis=1).repeat(2, axis=2))
        return [(images[rows], of) for rows, of in _sets(labels, self.groups, counts, rng)]


@dataclass(frozen=True)
class Objects(Origin):
    """Photographs of CIFAR-10, of which each square of 2x2 pixels is one here; see :mod:`gennas.tasks.cifar10`.

    Training and validation images are from its training images, test images from its test images.

    Args:
        groups: CIFAR-10's classes of each class.
    """

    groups: tuple[tuple[int, ...], ...] = tuple((label,) for label in range(10))

    hint: ClassVar[str] = (
        "This one is of CIFAR-10's: provide cifar10/*.npz in the folder GENNAS_DATA (see the task cifar10). All tiny "
        "tasks but the tiny-objects ones need no files."
    )

    @property
    def classes(self) -> int:
        return len(self.groups)

    def found(self) -> bool:
        return Cifar10.found() is not None

    def take(self, counts: Sequence[int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        found = Cifar10.found()
        if found is None:
            raise DataMissingError(f"the images of CIFAR-10 are not on this machine. {self.hint}")
        train, test = _archives(found)
        chosen = [(train, rows, of) for rows, of in _sets(train.labels, self.groups, counts[:-1], rng)]
        chosen += [(test, rows, of) for rows, of in _sets(test.labels, self.groups, counts[-1:], rng)]
        return [(_halved(source.decoded(rows).images), of) for source, rows, of in chosen]


@lru_cache(maxsize=1)
def _archives(images: Cifar10) -> tuple[Archives, Archives]:
    return images.train, images.test


def _halved(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), 3, SIDE, 2, SIDE, 2).mean((3, 5)) / 255


def _sets(
    labels: np.ndarray, groups: Sequence[Sequence[int]], counts: Sequence[int], rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and new labels of disjoint sets in random order, balanced over the groups as far as there are images."""
    pools = [rng.permutation(np.flatnonzero(np.isin(labels, group))) for group in groups]
    begins, sets = [0] * len(groups), []
    for count in counts:
        wanted = np.bincount(np.arange(count) % len(groups), minlength=len(groups))
        parts = [pool[begin : begin + size] for pool, begin, size in zip(pools, begins, wanted, strict=True)]
        begins = [begin + len(part) for begin, part in zip(begins, parts, strict=True)]
        rows, of = np.concatenate(parts), np.repeat(np.arange(len(groups)), [len(part) for part in parts])
        order = rng.permutation(len(rows))
        sets.append((rows[order], of[order]))
    return sets
