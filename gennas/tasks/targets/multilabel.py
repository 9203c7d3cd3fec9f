"""Multilabel: any number of several labels per image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gennas.errors import InvalidInputError
from gennas.tasks.targets.base import TargetKind
from gennas.tasks.targets.reading import PRESENT, sigmoid

if TYPE_CHECKING:
    from torch import Tensor

_SEPARATOR = re.compile(r"[;|,]")
_FLAGS = {
    "": float("nan"),
    "0": 0.0,
    "1": 1.0,
    "0.0": 0.0,
    "1.0": 1.0,
    "false": 0.0,
    "true": 1.0,
    "no": 0.0,
    "yes": 1.0,
}


@dataclass(frozen=True)
class Multilabel(TargetKind):
    """Any of ``k`` labels per image: targets ``(n, k)`` int64 are 0 or 1, answers are probabilities of each."""

    name = "multilabel"
    metrics = ("mean_average_precision", "macro_f1", "micro_f1")
    reading = "labels"
    outputs = "labels"

    def parsed(self, target: Any, names: Sequence[str]) -> np.ndarray:
        """Of 0 or 1 for every label, or of the names of those that are there."""
        if not isinstance(target, str) and (not isinstance(target, Iterable) or hasattr(target, "dtype")):
            return np.asarray(target)
        given = [target] if isinstance(target, str) else list(target)
        if not all(isinstance(one, str) for one in given):
            return np.asarray(given)
        if unknown := [one for one in given if one not in names]:
            raise InvalidInputError(
                f"{unknown[0]!r} is not the name of a label; expected {', '.join(names) or 'class_names to be given'}."
            )
        return np.array([name in given for name in names], np.int64)

    def from_table(self, columns: Mapping[str, Sequence[str]], named: str | None) -> tuple[tuple[str, ...], np.ndarray]:
        """Of lists in the column of labels, as ``red;round``; or where there is none, of a column of 0 and 1 per label.

        An empty list is that of an image without any label.
        """
        if named is None:
            return tuple(columns), np.array([[_flag(name, cell) for cell in columns[name]] for name in columns]).T
        lists = [{word.strip() for word in _SEPARATOR.split(cell)} - {""} for cell in columns[named]]
        names = tuple(sorted(set().union(*lists)))
        if not names:
            raise InvalidInputError(f"column {named!r} has no labels; expected lists such as 'red;round'.")
        return names, np.array([[name in found for name in names] for found in lists], float)

    def checked(self, targets: np.ndarray, count: int, where: str) -> np.ndarray:
        if targets.ndim != 2 or targets.shape[1] != count:
            raise InvalidInputError(
                f"{where} have targets of shape {targets.shape[1:]}; expected ({count},), 0 or 1 for every label."
            )
        if targets.dtype.kind not in "iufb" or not np.isin(targets, (0, 1)).all():
            raise InvalidInputError(f"{where} have targets other than 0 and 1; expected one of these for every label.")
        return targets.astype(np.int64)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """By the rarest label that an image has; those without any are the last group.

        The greedy first step of Sechidis et al., "On the Stratification of Multi-label Data", 2011: rare labels are
        shared out as such, and common ones are even in any case.
        """
        counts = targets.sum(0)
        rarity = np.where(targets > 0, counts, len(targets) + 1)
        return np.asarray(np.where(targets.any(1), rarity.argmin(1), targets.shape[1]))

    def traits(self, targets: np.ndarray) -> np.ndarray:
        """The labels: that of a group need not be the only one of its images."""
        return targets

    def expect_measurable(self, targets: np.ndarray, where: str) -> None:
        if not targets.any():
            raise InvalidInputError(
                f"none of {where} has a label, so that average precision is not defined; choose others."
            )

    def fitted(self, targets: np.ndarray) -> Self:
        """Itself.

        Raises:
            InvalidInputError: a label is that of no training image.
        """
        if not targets.any(0).all():
            column = int(np.argmin(targets.any(0)))
            raise InvalidInputError(f"label {column} is that of no training image; add some, or leave the label out.")
        return self

    def encoded(self, targets: np.ndarray) -> np.ndarray:
        return targets.astype(np.float32)

    def balance(self, targets: np.ndarray, count: int) -> np.ndarray:
        """Images without a label per image with it."""
        present = targets.sum(0)
        return np.asarray((len(targets) - present) / np.maximum(present, 1))

    def loss(self, outputs: Tensor, encoded: Tensor, *, smoothing: float, weights: Tensor | None) -> Tensor:
        """Binary cross-entropy of every label; ``smoothing`` moves targets towards one half.

        Weights are those of images that have the label.
        """
        from torch.nn import functional

        wanted = encoded * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(outputs, wanted, pos_weight=weights)

    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Binary cross-entropy with the teacher's softened probabilities, times the square of the temperature."""
        from torch.nn import functional

        wanted = (taught / temperature).sigmoid()
        return temperature**2 * functional.binary_cross_entropy_with_logits(outputs / temperature, wanted)

    def read(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities, each by itself; a label above one half is taken to be there."""
        return sigmoid(outputs)

    def measured(self, targets: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """The mean of the labels' average precisions, the mean of their F1 scores, and F1 over all labels together.

        Labels that no image has are left out of the first, for which they have no value.
        """
        from sklearn.metrics import average_precision_score, f1_score

        shown = np.flatnonzero(targets.any(0))
        precision = average_precision_score(targets[:, shown], answers[:, shown], average="macro")
        predicted = answers > PRESENT
        macro, micro = (f1_score(targets, predicted, average=how, zero_division=0) for how in ("macro", "micro"))
        return dict(zip(self.metrics, (float(precision), float(macro), float(micro)), strict=True))

    def columns(self, targets: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """``label NAME``, 0 or 1, and ``probability NAME`` of every label."""
        return self.named_columns(names, label=targets, probability=answers)

    def said(self, count: int) -> str:
        return f"logits of {self.amount(count)}, of which each has a sigmoid of its own"

    def amount(self, count: int) -> str:
        return "1 label" if count == 1 else f"{count} labels"


def _flag(column: str, cell: str) -> float:
    if cell.casefold() not in _FLAGS:
        raise InvalidInputError(
            f"column {column!r} has {cell!r}; expected 0 or 1 for every label, or one column called 'label' with lists "
            "such as 'red;round'."
        )
    return _FLAGS[cell.casefold()]
