"""Correction: the accuracy of fine-tuned networks from a supernet's score and the costs, by a few true fine-tunings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from gennas.documents import read_json
from gennas.errors import DataMissingError, InvalidInputError
from gennas.files import write_json
from gennas.predictors.bayesian_regression import LinearTransfer, fit_transfer, leave_one_out

#: Fewer fine-tunings than these say nothing about what the score leaves out.
FEWEST = 4
#: Accuracies are kept this far from 0 and 1, whose logits are infinite: half an image of two hundred.
_EDGE = 0.0025
#: What fine-tuned accuracies may depend on, in stds: on the score alone, on score and costs, or on costs alone.
_PRIORS = np.array([[1.0, 0.0, 0.0], [0.7, 0.4, 0.0], [0.7, 0.0, 0.4], [0.0, 0.7, 0.0], [0.0, 0.0, 0.7]])
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)


@dataclass(frozen=True, eq=False)
class Scores:
    """What is known of archs without training their networks.

    Attributes:
        score: ``(n,)`` accuracy with inherited weights, a fraction.
        params_m: ``(n,)`` parameters in millions.
        macs_m: ``(n,)`` multiply-adds in millions.
    """

    score: np.ndarray
    params_m: np.ndarray
    macs_m: np.ndarray

    @property
    def inputs(self) -> np.ndarray:
        """``(n, 3)`` logits of the score, and logarithms of the costs."""
        costs = [np.log(np.maximum(np.asarray(cost, float), 1e-6)) for cost in (self.params_m, self.macs_m)]
        return np.column_stack([_logit(self.score), *costs])


@dataclass(frozen=True, eq=False)
class Check:
    """How well left-out fine-tunings are predicted from the others.

    Attributes:
        predicted: ``(k,)`` of each from all others, a fraction.
        std: ``(k,)`` of the prediction.
        true: ``(k,)`` fine-tuned accuracies.
    """

    predicted: np.ndarray
    std: np.ndarray
    true: np.ndarray

    @property
    def error(self) -> float:
        """Root mean square error, a fraction."""
        return float(np.sqrt(np.square(self.predicted - self.true).mean()))

    @property
    def covered(self) -> float:
        """Share of the true accuracies within 1.64 stds of the prediction; 0.9 where the stds are right."""
        return float((np.abs(self.predicted - self.true) <= 1.645 * self.std).mean())

    @property
    def tau(self) -> float:
        """Kendall's rank correlation of predicted and true accuracies."""
        from scipy.stats import kendalltau

        return float(kendalltau(self.predicted, self.true).statistic)


@dataclass(frozen=True, eq=False)
class Correction:
    """Predicts fine-tuned accuracies, with their uncertainty, from scores and costs.

    Bayesian linear regression of the logit of the accuracy on the logit of the score and the logarithms of the costs:
    scores and costs are multiplied by powers that the fine-tunings tell.

    Attributes:
        transfer: the regression on standardised inputs.
        centre: ``(3,)`` of the inputs.
        scale: ``(3,)`` of the inputs.
        check: on the fine-tunings themselves, each left out.
    """

    transfer: LinearTransfer
    centre: np.ndarray
    scale: np.ndarray
    check: Check

    def predict(self, scores: Scores) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` mean and std of fine-tuned accuracies, fractions."""
        return _fractions(*self.transfer.predict(_standard(scores.inputs, self.centre, self.scale)))

    @property
    def fingerprint(self) -> str:
        """A hash, twelve hexadecimal digits: values that were corrected otherwise are never mixed."""
        return sha256(json.dumps(self._document, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def _document(self) -> dict[str, Any]:
        arrays = {
            "coefficients": self.transfer.coefficients,
            "covariance": self.transfer.covariance,
            "centre": self.centre,
            "scale": self.scale,
            "predicted": self.check.predicted,
            "std": self.check.std,
            "true": self.check.true,
        }
        return {"noise": self.transfer.noise, **{name: np.asarray(array).tolist() for name, array in arrays.items()}}

    def save(self, path: Path) -> None:
        """Writes it to a JSON file."""
        write_json(path, self._document)

    @classmethod
    def load(cls, path: Path) -> Correction:
        """Reads it from a JSON file.

        Raises:
            DataMissingError: there is none, or it is damaged.
        """
        try:
            found = {name: np.array(value, float) for name, value in read_json(path).items()}
            transfer = LinearTransfer(found["coefficients"], found["covariance"], float(found["noise"]))
            check = Check(found["predicted"], found["std"], found["true"])
            return cls(transfer, found["centre"], found["scale"], check)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataMissingError(f"the correction in {path} cannot be read ({error}); fit it again.") from error


def fit_correction(scores: Scores, accuracies: Sequence[float], reference: Scores | None = None) -> Correction:
    """Fits a correction to a few archs whose networks were fine-tuned.

    Args:
        scores: of these archs.
        accuracies: ``(k,)`` of their fine-tuned networks, fractions, on the same images as the scores.
        reference: of more archs of the space, which say what is usual; by default these archs.

    Raises:
        InvalidInputError: fewer than four fine-tunings, as many scores as accuracies are not given, or all are equal.
    """
    true, inputs = np.asarray(accuracies, float), scores.inputs
    if len(true) != len(inputs):
        raise InvalidInputError(f"{len(true)} accuracies of {len(inputs)} archs; expected one of each.")
    if len(true) < FEWEST or np.ptp(true) == 0:
        raise InvalidInputError(
            f"{len(true)} fine-tunings with {len(np.unique(true))} different accuracies; expected at least {FEWEST}, "
            "not all equal. Fine-tune more archs."
        )
    usual = inputs if reference is None else reference.inputs
    centre, scale = usual.mean(0), np.maximum(usual.std(0), 1e-6)
    basis, values = _standard(inputs, centre, scale), _logit(true)
    mean, std = _fractions(*leave_one_out(basis, values, _PRIORS))
    return Correction(fit_transfer(basis, values, _PRIORS), centre, scale, Check(mean, std, true))


def _standard(inputs: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return (inputs - centre) / scale


def _logit(fraction: np.ndarray | Sequence[float]) -> np.ndarray:
    share = np.clip(np.asarray(fraction, float), _EDGE, 1 - _EDGE)
    found: np.ndarray = np.log(share / (1 - share))
    return found


def _fractions(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(n,)`` mean and std of fractions whose logits are normal, by quadrature."""
    points = 1 / (1 + np.exp(-(mean[:, None] + np.nan_to_num(std)[:, None] * _NODES)))
    weights = _WEIGHTS / _WEIGHTS.sum()
    centre = points @ weights
    return centre, np.sqrt(np.square(points - centre[:, None]) @ weights)
