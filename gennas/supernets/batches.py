"""The batches that a supernet is trained on: images, labels and, where there is one, a teacher's answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from gennas.tasks import Task
from gennas.training.batches import Normalisation, TrainBatches
from gennas.training.recipe import Recipe

#: Images ``(b, c, h, w)``, standardised; labels ``(b,)``; and a teacher's logits ``(b, classes)``, or None.
Batch = tuple[Tensor, Tensor, Tensor | None]


class BatchSource(Protocol):
    """Gives the batches of every epoch, always the same ones for the same number."""

    @property
    def fingerprint(self) -> str:
        """Identifies images, augmentation and teacher: a training is not resumed with others."""

    @property
    def steps(self) -> int:
        """Batches per epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, from 0."""


class AugmentedBatches:
    """A task's training images, augmented, without a teacher.

    Args:
        task: has the images.
        recipe: gives batch size, augmentation and seed.
        normalise: of the images.
    """

    def __init__(self, task: Task, recipe: Recipe, normalise: Normalisation) -> None:
        self._number = 0
        splits = task.splits()
        self._batches = TrainBatches(splits.train, recipe, normalise, lambda: self._number, classes=task.num_classes)
        self.fingerprint = f"{splits.fingerprint} {recipe.hash}"

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return self._batches.steps

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, from 0."""
        self._number = number
        for images, labels in self._batches:
            yield images, labels, None
