"""Classification: one of several classes per image; what tasks are by default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gennas.errors import InvalidInputError
from gennas.tasks.targets.base import TargetKind

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Classification(TargetKind):
    """One of ``k`` classes per image: targets ``(n,)`` int64 count them from 0, answers are probabilities."""

    name = "classification"
    metrics = ("accuracy", "balanced_accuracy", "macro_f1")
    reading = "classes"
    outputs = "classes"
    judged = "Accuracies"

    def parsed(self, target: Any, names: Sequence[str]) -> np.ndarray:
        """Of a number, or of the name of a class."""
        if isinstance(target, str):
            if target not in names:
                expected = ", ".join(names) or "numbers, or names that `class_names` lists"
                raise InvalidInputError(f"{target!r} is not the name of a class; expected {expected}.")
            return np.asarray(list(names).index(target))
        return np.asarray(target)

    def checked(self, targets: np.ndarray, count: int, where: str) -> np.ndarray:
        if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
            raise InvalidInputError(
                f"{where} have targets of shape {targets.shape[1:]} and type {targets.dtype}; expected the number of a "
                "class, an integer from 0. Values: targets='regression'; several labels per image: 'multilabel'."
            )
        found = targets.astype(np.int64)
        if len(found) and not (found.min() >= 0 and found.max() < count):
            raise InvalidInputError(
                f"{where} have classes from {found.min()} to {found.max()}; expected 0 to {count - 1}."
            )
        return found

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def encoded(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def soft(self, encoded: Tensor, count: int) -> Tensor:
        from torch.nn import functional

        return functional.one_hot(encoded, count).float()

    def balance(self, targets: np.ndarray, count: int) -> np.ndarray:
        """Inverse frequencies of the classes, of mean 1 over the images."""
        counts = np.bincount(targets, minlength=count)
        return np.asarray(len(targets) / ((counts > 0).sum() * np.maximum(counts, 1)))

    def loss(self, outputs: Tensor, encoded: Tensor, *, smoothing: float, weights: Tensor | None) -> Tensor:
        """Cross-entropy; ``smoothing`` is the weight of the uniform distribution in the targets."""
        from torch.nn import functional

        return functional.cross_entropy(
            outputs,
            encoded,
            weight=weights,
            label_smoothing=smoothing,
            # With weights, torch's own mean would be one over weights, and batches of rare classes count like others.
            reduction="mean" if weights is None else "none",
        ).mean()

    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Divergence of the student's softened answers from the teacher's, times the square of the temperature.

        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; the square keeps gradients at the scale of
        those of the labels.
        """
        from torch.nn import functional

        answers = (outputs / temperature).log_softmax(1)
        wanted = (taught / temperature).log_softmax(1)
        return temperature**2 * functional.kl_div(answers, wanted, reduction="batchmean", log_target=True)

    def read(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities, after softmax."""
        import torch

        return np.asarray(torch.from_numpy(outputs).softmax(1).numpy())

    def measured(self, targets: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """Accuracy; the mean of the classes' recalls; the mean of their F1 scores.

        Classes count that the targets show, or for F1 the answers.
        """
        from sklearn.metrics import f1_score, recall_score

        predicted = answers.argmax(1)
        recall = recall_score(targets, predicted, labels=np.unique(targets), average="macro", zero_division=0)
        f1 = f1_score(targets, predicted, average="macro", zero_division=0)
        values = (float((predicted == targets).mean()), float(recall), float(f1))
        return dict(zip(self.metrics, values, strict=True))

    def columns(self, targets: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """``label``, ``predicted``, ``confidence`` (the probability of the predicted class) and ``label_probability``
        (that of the true one)."""
        return {
            "label": targets,
            "predicted": answers.argmax(1),
            "confidence": answers.max(1),
            "label_probability": answers[np.arange(len(targets)), targets],
        }

    def names(self, count: int) -> tuple[str, ...]:
        return tuple(map(str, range(count)))

    def amount(self, count: int) -> str:
        return f"{count} classes"

    def document(self) -> dict[str, Any]:
        return {}


CLASSIFICATION = Classification()
