"""Task and its images: train, validation and test splits as arrays; or a task on a graph, without its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np

from gennas.errors import DataMissingError, InvalidInputError


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Attributes:
        images: ``(n, channels, height, width)`` uint8.
        labels: ``(n,)`` int64, indices into the task's classes.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Split:
        """The rows with these indices."""
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Splits:
    """The disjoint parts of a task's images.

    Attributes:
        train: what networks learn from.
        val: what archs are chosen by.
        test: only reported, never chosen by; None where the task has none.
        notes: sentences for the user about what reading the images brought to light.
    """

    train: Split
    val: Split
    test: Split | None
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """How many images there are, and a checksum: values are comparable where it is equal."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        present = {name: split for name, split in parts.items() if split is not None}
        checksum = 0
        for split in present.values():
            for array in (split.images, split.labels):
                checksum = crc32(np.ascontiguousarray(array).data, checksum)
        counts = ", ".join(f"{len(split)} {name}" for name, split in present.items())
        return f"{counts}, crc32 {checksum:08x}"


class ImageSource(ABC):
    """Where a task's images come from; hashable, so that what was read is kept while the process lives."""

    @abstractmethod
    def read(self, seed: int) -> Splits:
        """Reads the images; ``seed`` decides which are held out where no fixed split exists."""

    def sample(self, count: int, seed: int) -> Split:
        """Some training images, see :meth:`Task.sample`; a source overrides it that need not read all others."""
        train = _read(self, seed).train
        return train.take(balanced(train.labels, count, seed))


@lru_cache(maxsize=4)
def _read(source: ImageSource, seed: int) -> Splits:
    return source.read(seed)


@dataclass(frozen=True)
class Task:
    """What a network is for.

    Attributes:
        name: ``cifar10``, ``digits``, or the name of a folder of images; free of white space.
        input_shape: what networks see: ``(channels, height, width)`` of an image, or ``(features,)`` of a graph's
            node.
        num_classes: number of classes.
        class_names: their names in the order of the labels; empty for a benchmark without images.
        source: where the images come from; None for a benchmark.
        notes: sentences for the user, known before any image is read.
        hint: where its images could come from, said where they are missing.
    """

    name: str
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: ImageSource | None = None
    notes: tuple[str, ...] = ()
    hint: str = ""

    @property
    def has_images(self) -> bool:
        """Whether :meth:`splits` can work, so that networks can be trained."""
        return self.source is not None

    def splits(self, seed: int = 0) -> Splits:
        """The images; read once per process.

        Args:
            seed: which images are held out where the task has no fixed split; values are comparable
                only under the same seed.

        Raises:
            DataMissingError: a benchmark task, which comes without images.
            InvalidInputError: the folder has changed for the worse, or a class has no readable image.
        """
        return _read(self._images(), seed)

    def sample(self, count: int, seed: int = 0) -> Split:
        """``count`` training images, or all if there are fewer, of every class as many as possible.

        Args:
            count: how many.
            seed: which ones, among those that :meth:`splits` has for training under the same seed.

        Raises:
            DataMissingError: as of :meth:`splits`.
            InvalidInputError: as of :meth:`splits`.
        """
        return self._images().sample(count, seed)

    def _images(self) -> ImageSource:
        if self.source is None and len(self.input_shape) != 3:
            raise DataMissingError(
                f"task {self.name!r} comes without its graph: predictors and tables know it, but no network can be "
                "trained on it. Take its values from a table, e.g. nasbench_graph."
            )
        if self.source is None:
            raise DataMissingError(
                f"task {self.name!r} comes without images: predictors and tables know it, but no network can "
                "be trained on it. Give the path of a folder with train/<class>/*.png (or jpg), or digits."
                f"{self.hint and ' '}{self.hint}"
            )
        return self.source


def image_shape(task: Task, asker: str) -> tuple[int, int, int]:
    """``(channels, height, width)`` of a task's images, for what works with images only.

    Args:
        task: any task.
        asker: what needs images, e.g. ``"space 'nasbench201'"``; the subject of the error.

    Raises:
        InvalidInputError: the task is one on a graph.
    """
    if len(task.input_shape) != 3:
        raise InvalidInputError(
            f"{asker} needs images, task {task.name!r} has a graph with {task.input_shape[0]} features a node; "
            "take a task with images, e.g. cifar10."
        )
    channels, height, width = task.input_shape
    return channels, height, width


def feature_count(task: Task, asker: str) -> int:
    """The features of a node of a task's graph, for what works with graphs only.

    Args:
        task: any task.
        asker: what needs a graph, e.g. ``"space 'nasbench_graph'"``; the subject of the error.

    Raises:
        InvalidInputError: the task is one of images.
    """
    if len(task.input_shape) != 1:
        size = "x".join(map(str, task.input_shape))
        raise InvalidInputError(
            f"{asker} needs a graph, task {task.name!r} has images of {size}; take a task with a graph, e.g. cora."
        )
    return task.input_shape[0]


def stratified(labels: np.ndarray, fractions: Sequence[float], seed: int) -> list[np.ndarray]:
    """Row numbers drawn class by class, without overlap: one array per fraction, then one with the rest.

    A class gives every fraction at least one row as long as one is left for the rest, which lacks no class.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for part, fraction in zip(parts, fractions, strict=False):
            count = min(max(round(fraction * len(rows)), 1), len(rows) - 1 - start)
            part.append(rows[start : start + count])
            start += count
        parts[-1].append(rows[start:])
    return [np.sort(np.concatenate(part)) for part in parts]


def balanced(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Row numbers of ``count`` images: one of every class in turn, drawn at random, as long as it has any."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class, within one at random
    counts = np.bincount(labels)
    turn = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    # In which order the classes come is random in every turn, so that what is left out at the end is no fixed class.
    return order[np.lexsort((rng.random(len(order)), turn))][:count]
