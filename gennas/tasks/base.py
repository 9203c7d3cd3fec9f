"""Task: what networks are trained for; and its images, as arrays in train, validation and test splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from gennas.consent import expect
from gennas.errors import DataMissingError, InvalidInputError
from gennas.tasks.targets import CLASSIFICATION, TargetKind


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Attributes:
        images: ``(n, channels, height, width)`` uint8.
        labels: ``(n,)`` int64, indices of the task's classes; or targets of another kind, see :class:`TargetKind`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Split:
        """The images and labels at these indices."""
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Splits:
    """The disjoint splits of a task's images.

    Attributes:
        train: images that networks are trained on.
        val: images that archs are selected by.
        test: images for reporting only, never for selection; None if the task has none.
        notes: sentences for the user about problems found while reading the images.
        is_drawn: whether validation images were drawn from those that were given for training, so that others might
            have been.
    """

    train: Split
    val: Split
    test: Split | None
    notes: tuple[str, ...] = ()
    is_drawn: bool = False

    @property
    def fingerprint(self) -> str:
        """Image counts and a checksum; values of metrics are comparable only if these are equal."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        present = {name: split for name, split in parts.items() if split is not None}
        checksum = 0
        for split in present.values():
            for array in (split.images, split.labels):
                checksum = crc32(np.ascontiguousarray(array).data, checksum)
        counts = ", ".join(f"{len(split)} {name}" for name, split in present.items())
        return f"{counts}, crc32 {checksum:08x}"


class ImageSource(ABC):
    """Where a task's images come from; hashable, so that splits are cached within the process.

    Attributes:
        targets: what is asked of the images.
        is_in_memory: whether reading them costs nothing, so that nothing else need remember them.
        resizing: sentence on how they are resized; empty where they are not.
    """

    targets: TargetKind = CLASSIFICATION
    is_in_memory = False
    resizing: str = ""

    @abstractmethod
    def read(self, seed: int) -> Splits:
        """Reads the images; ``seed`` determines the held-out images if there is no fixed split."""

    def unreadable(self) -> tuple[str, ...]:
        """A sentence on the files that reading will skip, as far as that is known without reading any."""
        return ()

    def preprocessing(self) -> dict[str, Any]:
        """How an image file becomes an array ``(channels, height, width)`` of uint8; stored with trained networks.

        Returns:
            Step -> what is done, in numbers and words that JSON can hold; empty where there are no files.
        """
        return {}

    def resized(self, task: Task, side: int) -> Task:
        """A task of these images with them at another size: by default, those read are resized; see
        :meth:`Task.resized`."""
        from gennas.tasks.resizing import ResizedImages

        return replace(task, input_shape=(task.channels, side, side), source=ResizedImages(self, side))

    def sample(self, count: int, seed: int) -> Split:
        """Some training images, see :meth:`Task.sample`; override it if they can be read without all others."""
        train = read_once(self, seed).train
        return train.take(balanced(self.targets.strata(train.labels), count, seed))


def read_once(source: ImageSource, seed: int) -> Splits:
    """What a source reads, once per process."""
    return source.read(seed) if source.is_in_memory else _read(source, seed)


@lru_cache(maxsize=4)
def _read(source: ImageSource, seed: int) -> Splits:
    return source.read(seed)


@dataclass(frozen=True)
class Task:
    """What networks are trained for: a class of each image or node of a graph; or what else :attr:`targets` says.

    Attributes:
        name: ``cifar10``, ``digits``, or the name of a folder of images; without white space.
        input_shape: shape of the networks' input: ``(channels, height, width)`` of an image, or ``(features,)`` of a
            node.
        num_classes: number of classes; of values or labels, where :attr:`targets` are these.
        class_names: their names, in the order of the labels; empty for a benchmark without images.
        source: where the images come from; None for a benchmark without images.
        notes: sentences for the user that are known before any image is read.
        hint: how to get the images; ends the error about missing ones.
    """

    name: str
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: ImageSource | None = None
    notes: tuple[str, ...] = ()
    hint: str = ""

    @property
    def channels(self) -> int:
        """Channels of the images, or features of a node."""
        return self.input_shape[0]

    @property
    def classes(self) -> int:
        """Number of classes, as the head of a network needs it."""
        return self.num_classes

    @property
    def targets(self) -> TargetKind:
        """What is asked of the images: a class of each, unless their source says otherwise."""
        return CLASSIFICATION if self.source is None else self.source.targets

    @property
    def output_names(self) -> tuple[str, ...]:
        """A name for every output of a network: of classes that have none, their numbers."""
        return self.class_names or self.targets.names(self.num_classes)

    @classmethod
    def from_dataset(
        cls,
        train: Any,
        val: Any = None,
        test: Any = None,
        *,
        name: str,
        targets: TargetKind | str = CLASSIFICATION,
        class_names: Sequence[str] = (),
    ) -> Task:
        """A task of torch data sets, or of anything else with ``len()`` and pairs of an image and a target at indices.

        Images are tensors or arrays ``(channels, height, width)``, uint8 or float in [0, 1] (which are rounded to 256
        levels), or of Pillow; all of one shape. They are read once, when they are needed first: leave normalisation and
        augmentation to gennas.

        Args:
            train: images that networks are trained on.
            val: images that archs are selected by; a fifth of ``train`` is held out by default.
            test: images for reporting only.
            name: of the task, which stands behind the ``@`` of metrics.
            targets: their kind: ``classification`` (numbers or names of classes), ``regression`` (one or several
                numbers), ``multilabel`` (0 or 1 for every label, or names of those that are there), or your own.
            class_names: of classes, values or labels; by default ``train.classes`` where there is one. Without any, all
                images are read here to find out how many classes there are.

        Raises:
            InvalidInputError: the data sets cannot be indexed, or their first item or their names cannot be used; what
                is wrong with other items is raised by :meth:`splits`.
            UnknownNameError: no such kind.
        """
        from gennas.tasks.dataset import dataset_task

        return dataset_task({"train": train, "val": val, "test": test}, name, targets, class_names)

    @property
    def has_images(self) -> bool:
        """Whether the task has images, so that networks can be trained."""
        return self.source is not None

    def splits(self, seed: int = 0) -> Splits:
        """The splits of the images, read once per process.

        Args:
            seed: determines the held-out images if the task has no fixed split; values of metrics are comparable only
                with the same seed.

        Raises:
            DataMissingError: the task is a benchmark without images.
            InvalidInputError: the folder is no longer valid, or a class has no readable image.
        """
        return read_once(self._images(), seed)

    def unreadable(self) -> tuple[str, ...]:
        """A sentence on the files that reading the images will skip; see :meth:`ImageSource.unreadable`."""
        return () if self.source is None else self.source.unreadable()

    def resized(self, side: int) -> Task:
        """The task with its images resized to squares, antialiased, from the best that there is of them.

        The files of a folder are read again at that size; arrays are resized. Name, classes and splits stay the same,
        and nothing is read before it is needed.

        Args:
            side: height and width in pixels.

        Raises:
            InvalidInputError: the task is on a graph, or the side is not positive.
        """
        channels, *sides = image_shape(self, "resizing")
        if side < 1:
            raise InvalidInputError(f"images of {side} pixels; expected at least 1.")
        if sides == [side, side]:
            return self
        if self.source is not None:
            return self.source.resized(self, side)
        return replace(self, input_shape=(channels, side, side))

    def sample(self, count: int, seed: int = 0) -> Split:
        """A class-balanced sample of the training images; all of them if there are fewer than ``count``.

        Args:
            count: number of images.
            seed: seed of the sample, and of :meth:`splits`, whose training images are sampled.

        Raises:
            DataMissingError: see :meth:`splits`.
            InvalidInputError: see :meth:`splits`.
        """
        return self._images().sample(count, seed)

    def _images(self) -> ImageSource:
        if self.source is None and len(self.input_shape) != 3:
            raise DataMissingError(
                f"task {self.name!r} comes without its graph, so networks cannot be trained on it. Use values from a "
                "table instead, e.g. nasbench_graph."
            )
        if self.source is None:
            raise DataMissingError(
                f"task {self.name!r} comes without images, so networks cannot be trained on it; only predictors and "
                "tables support it. Use a folder of images with a folder per class, or digits."
                f"{self.hint and ' '}{self.hint}"
            )
        return self.source


def expect_images(count: int, size: int) -> None:
    """Says before they are read what images cost that take most of the memory; see :func:`gennas.consent.expect`."""
    # Once as they are resized, and once as one array.
    gigabytes = 2 * count * 3 * size**2 / 1e9
    expect(f"{count:,} images of {size}x{size} pixels", gigabytes=gigabytes, instead="lower `image_size`")


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it, e.g. ``3x32x32``."""
    return "x".join(str(side) for side in shape)


def image_shape(task: Task, asker: str) -> tuple[int, int, int]:
    """``(channels, height, width)`` of a task's images, for callers that need images.

    Args:
        task: any task.
        asker: what needs images, e.g. ``"space 'nasbench201'"``; the subject of the error message.

    Raises:
        InvalidInputError: the task is on a graph.
    """
    if len(task.input_shape) != 3:
        raise InvalidInputError(
            f"{asker} needs images, but task {task.name!r} is on a graph with {task.input_shape[0]} features per node; "
            "choose a task with images, e.g. cifar10."
        )
    channels, height, width = task.input_shape
    return channels, height, width


def feature_count(task: Task, asker: str) -> int:
    """The number of features per node of a task's graph, for callers that need a graph.

    Args:
        task: any task.
        asker: what needs a graph, e.g. ``"space 'nasbench_graph'"``; the subject of the error message.

    Raises:
        InvalidInputError: the task has images.
    """
    if len(task.input_shape) != 1:
        size = shape_text(task.input_shape)
        raise InvalidInputError(
            f"{asker} needs a graph, but task {task.name!r} has {size} images; choose a task on a graph, e.g. cora."
        )
    return task.input_shape[0]


def expect_classes(task: Task, asker: str, instead: str) -> None:
    """Raises InvalidInputError for a task that asks something else than a class.

    Args:
        task: any task.
        asker: what needs classes, e.g. ``"a design"``; the subject of the error message.
        instead: what to do, as the end of that message.
    """
    if task.targets != CLASSIFICATION:
        raise InvalidInputError(
            f"{asker} needs a task with classes, but {task.name!r} is a {task.targets.name} of "
            f"{task.targets.amount(task.num_classes)}; {instead}"
        )


def stratified(labels: np.ndarray, fractions: Sequence[float], seed: int) -> list[np.ndarray]:
    """A random split of row numbers, stratified by class: one sorted array per fraction, then one with the rest.

    Each fraction gets at least one row of every class, as long as one remains for the rest.
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
    """Row numbers of ``count`` random images, as balanced over the classes as possible."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, in random order within each
    counts = np.bincount(labels)
    turn = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Each turn takes one image per class, in random order, so that an incomplete last turn favours no class.
    return order[np.lexsort((rng.random(len(order)), turn))][:count]
