"""The batches that a supernet is trained on: images, labels and, where there is one, a teacher's answers."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

import numpy as np
from torch import Tensor

from gennas.tasks import Task
from gennas.training.batches import Normalisation, TrainBatches
from gennas.training.recipe import Recipe
from gennas.training.views import ViewBatches, Views

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


class ViewedBatches:
    """Crops of images that are made once, with a teacher's answers to them: epoch ``e`` shows view ``e`` modulo all.

    The teacher sees the crops at its own resolution, which the supernet's paths cannot afford, and answers once for the
    supernet and for all networks that are trained later: :func:`gennas.training.views.kept_answers`.

    Args:
        labels: ``(n,)`` of the images.
        views: of the images.
        side: of the crops that are shown; paths of smaller resolutions make them smaller.
        normalise: of the crops.
        recipe: gives batch size and seed.
        taught: the teacher's logits ``(views, n, classes)``; None without a teacher.
    """

    def __init__(
        self,
        labels: np.ndarray,
        views: Views,
        side: int,
        normalise: Normalisation,
        recipe: Recipe,
        taught: Tensor | None = None,
    ) -> None:
        self._number = 0
        self._batches = ViewBatches(
            labels,
            views,
            side,
            normalise,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            epoch=lambda: self._number,
            taught=taught,
        )
        answers = "" if taught is None else sha256(taught.numpy().tobytes()).hexdigest()[:12]
        self.fingerprint = f"{views.fingerprint} {side} {recipe.batch_size} {recipe.seed} {answers}"

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return self._batches.steps

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, from 0."""
        self._number = number
        for images, labels, *taught in self._batches:
            yield images, labels, taught[0] if taught else None


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
