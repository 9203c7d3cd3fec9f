"""Regression: one or several real values per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gennas.errors import InvalidInputError
from gennas.tasks.targets.base import TargetKind
from gennas.tasks.targets.reading import scaled

if TYPE_CHECKING:
    from torch import Tensor

#: Groups of a split: a tenth of the values each, where there are at least so many images in each.
_GROUPS, _SMALLEST = 10, 5


@dataclass(frozen=True)
class Regression(TargetKind):
    """``k`` real values per image: targets and answers are ``(n, k)`` float64, in the values' own units.

    Networks learn standardised values; these are their outputs.

    Attributes:
        mean: ``k`` means of the training images, own units; empty before :meth:`fitted`.
        std: ``k`` standard deviations, own units.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    name = "regression"
    # A fraction of the variance comes first: it has no unit, so that several values can be averaged.
    metrics = ("r2", "mae", "rmse")
    reading = "values"
    outputs = "values"

    def from_table(self, columns: Mapping[str, Sequence[str]], named: str | None) -> tuple[tuple[str, ...], np.ndarray]:
        """Of the column of labels, or where there is none, of all columns."""
        names = tuple(columns) if named is None else (named,)
        return names, np.array([[_number(name, cell) for cell in columns[name]] for name in names]).T

    def checked(self, targets: np.ndarray, count: int, where: str) -> np.ndarray:
        if targets.dtype.kind not in "iufb":
            raise InvalidInputError(f"{where} have targets of type {targets.dtype}; expected numbers.")
        found = targets.astype(np.float64).reshape(len(targets), -1)
        if found.shape[1] != count:
            raise InvalidInputError(f"{where} have {found.shape[1]} values each; expected {count}.")
        if not np.isfinite(found).all():
            row, column = np.argwhere(~np.isfinite(found))[0]
            raise InvalidInputError(
                f"{where}: value {column} of image {row} is {found[row, column]}; expected finite numbers. Leave "
                "images without a value out."
            )
        return found

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Tenths of the values; of several values, tenths of their first principal component."""
        centred = targets - targets.mean(0)
        centred /= np.where(centred.std(0) > 0, centred.std(0), 1)
        if centred.shape[1] > 1:
            centred = centred @ np.linalg.svd(centred, full_matrices=False)[2][:1].T
        groups = max(1, min(_GROUPS, len(targets) // _SMALLEST))
        ranks = np.argsort(np.argsort(centred[:, 0], kind="stable"), kind="stable")
        return np.asarray(ranks * groups // len(targets))

    def traits(self, targets: np.ndarray) -> np.ndarray:
        """Of each value, whether it is above its median, and whether not: what shows both is not constant."""
        above = targets > np.median(targets, axis=0)
        # Where most images have the greatest value, none is above the median.
        above |= ~above.any(0) & (targets == targets.max(0))
        return np.hstack([above, ~above]).astype(np.int64)

    def expect_measurable(self, targets: np.ndarray, where: str) -> None:
        if len(targets) < 2:
            raise InvalidInputError(f"{where} are {len(targets)}, too few for r2; expected at least 2.")
        if (column := _constant(targets)) is not None:
            what, left = ("the value", "") if targets.shape[1] == 1 else (f"value {column}", ", or leave the value out")
            raise InvalidInputError(
                f"{what} is {targets[0, column]:g} for all of {where}, so that its r2 is not defined; choose other "
                f"images{left}."
            )

    def fitted(self, targets: np.ndarray) -> Self:
        mean, std = targets.mean(0), targets.std(0)
        if (column := _constant(targets)) is not None:
            raise InvalidInputError(
                f"value {column} is {mean[column]:g} for all training images; there is nothing to learn."
            )
        return replace(self, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def encoded(self, targets: np.ndarray) -> np.ndarray:
        """Standardised values, float32."""
        return ((targets - np.array(self.mean)) / np.array(self.std)).astype(np.float32)

    def loss(self, outputs: Tensor, encoded: Tensor, *, smoothing: float, weights: Tensor | None) -> Tensor:
        """Smooth L1 of standardised values: squares below one standard deviation, so that outliers count less.

        Girshick, "Fast R-CNN", 2015, equation 3. ``smoothing`` means nothing.
        """
        from torch.nn import functional

        return functional.smooth_l1_loss(outputs, encoded)

    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Smooth L1; a temperature means nothing."""
        return self.loss(outputs, taught, smoothing=0.0, weights=None)

    def read(self, outputs: np.ndarray) -> np.ndarray:
        """Values in their own units."""
        return scaled(outputs, self.mean, self.std)

    def measured(self, targets: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """R2; mean absolute error and root mean squared error in the values' own units: means over the ``k`` values."""
        from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

        values = [metric(targets, answers) for metric in (r2_score, mean_absolute_error, root_mean_squared_error)]
        return dict(zip(self.metrics, map(float, values), strict=True))

    def columns(self, targets: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """``target NAME`` and ``predicted NAME`` of every value, in own units."""
        return self.named_columns(names, target=targets, predicted=answers)

    def amount(self, count: int) -> str:
        return "1 value" if count == 1 else f"{count} values"

    def said(self, count: int) -> str:
        return f"{self.amount(count)}, standardised: output * std + mean of `preprocess.json` is in own units"

    def document(self) -> dict[str, Any]:
        return {**super().document(), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        mean, std = (tuple(map(float, document[name])) for name in ("mean", "std"))
        if len(mean) != len(std) or not np.isfinite([*mean, *std]).all() or not all(value > 0 for value in std):
            raise ValueError(f"mean {mean} and std {std} are not those of values")
        return cls(mean, std)


def _constant(targets: np.ndarray) -> int | None:
    """The first value that is the same for all images, if any is."""
    # The std of equal numbers need not be 0, as their mean is rounded; that of others is where its square underflows.
    varies = (np.ptp(targets, axis=0) > 0) & (targets.std(0) > 0)
    return None if varies.all() else int(np.argmin(varies))


def _number(column: str, cell: str) -> float:
    if not cell:
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InvalidInputError(f"column {column!r} has {cell!r}; expected numbers, with a point for decimals.")
    return value
