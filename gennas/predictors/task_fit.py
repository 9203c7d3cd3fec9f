"""A new task: regression on the known ones, with the scale and the intervals of its own labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gennas.predictors.bayesian_regression import PRIOR_TAU, LinearTransfer, fit_transfer, folds, leave_one_out
from gennas.predictors.conformal import StdScale
from gennas.predictors.new_task import TaskPrior
from gennas.predictors.normal_scores import NormalScores, normal_scores, quadrature
from gennas.predictors.task_regression import TaskRegression

#: Labels from which a task's scale is theirs alone; with fewer, it is partly that of the known tasks.
OWN_SCALE_LABELS = 20
#: Labels from which intervals are calibrated on them.
CALIBRATION_LABELS = 10
#: Normal scores among the labels that a task's scale reaches at least: 1 label of 740 is beyond them.
LABEL_REACH = 3.0
#: Parts of the labels that are left out in turn.
PARTS = 10
#: Nodes of the quadrature over a regression's value.
NODES = 5


@dataclass(frozen=True)
class KnownTasks:
    """What the tasks that a predictor knows say about any other.

    Attributes:
        reference: ``(N, D)`` basis functions at random archs of the space.
        prior: ``(D,)`` prior mean of the weights.
        grid: ``(q,)`` normal scores of the predictor's scales.
        units: ``(q,)`` the mean of the known tasks' values there; None if there are none.
        usual: what is usual of a new task; None where fewer than two are known, and the fit is linear then.
    """

    reference: np.ndarray
    prior: np.ndarray
    grid: np.ndarray
    units: np.ndarray | None = None
    usual: TaskPrior | None = None


@dataclass(frozen=True)
class TaskFit:
    """A metric of a task, fitted to ``k`` labels.

    Attributes:
        transfer: regression of the labels' normal scores among themselves.
        own_scale: the scale on which the regression's values are standard normal over the space.
        grid: ``(q,)`` normal scores on this scale.
        units: ``(q,)`` the metric's values there, not decreasing.
        std_scale: factors on the regression's std.
    """

    transfer: LinearTransfer | TaskRegression
    own_scale: NormalScores
    grid: np.ndarray
    units: np.ndarray
    std_scale: StdScale

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` mean and std in the metric's units, at ``(N, D)`` basis functions."""
        mean, std = (torch.from_numpy(part).float() for part in self.transfer.predict(inputs))
        score, score_std = space_scores(self.own_scale, mean, std * self.std_scale(mean))
        scale = NormalScores(1)
        scale.grid.copy_(torch.from_numpy(self.grid))
        scale.values[0].copy_(torch.from_numpy(self.units))
        units, units_std = scale.to_units(score[:, None], score_std[:, None])
        return units[:, 0].double().numpy(), units_std[:, 0].double().numpy()


def space_scores(own_scale: NormalScores, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std of a regression's value on the scale where it is standard normal over the space, elementwise."""
    nodes, weights = quadrature(NODES, mean)
    scores = own_scale.scores_of(0, mean[..., None] + std.clamp_min(1e-6)[..., None] * nodes)
    expected = (scores * weights).sum(-1)
    return expected, ((scores - expected[..., None]).square() * weights).sum(-1).sqrt().clamp_min(1e-3)


def fit_task(inputs: np.ndarray, values: np.ndarray, known: KnownTasks) -> TaskFit:
    """Fits a new task.

    The regression predicts normal scores among the labels, so the labels say which value has which score: a monotone
    map, whatever the distribution of the metric (a warped Gaussian process, Snelson, Rasmussen and Ghahramani, NIPS
    2003, with the empirical distribution as the warping). Few labels say this roughly, and the known tasks' scale,
    moved to the labels' mean and std, has the rest of the weight.

    Args:
        inputs: ``(k, D)`` basis functions at the evaluated archs, possibly none.
        values: ``(k,)`` their values, as fractions.
        known: what is known of other tasks.
    """
    transfer = task_transfer(inputs, values, known.prior, known.usual)
    own_scale = scale_over_space(transfer, known.reference)
    usual = known.units if known.units is not None else np.linspace(0, 1, len(known.grid))
    if len(values) < 2 or np.ptp(values) == 0:
        return TaskFit(transfer, own_scale, known.grid, usual.clip(0, 1), StdScale())
    # However little of the labels is explained, their values are on the scale.
    own_scale.values[0, 0].clamp_(max=-LABEL_REACH)
    own_scale.values[0, -1].clamp_(min=LABEL_REACH)
    labels = NormalScores(1)
    labels.fit(values[:, None])
    units = labels.value_of(0, own_scale.value_of(0, torch.from_numpy(known.grid).float())).double().numpy()
    if len(values) < OWN_SCALE_LABELS:
        at = torch.from_numpy(transfer.mean(inputs)).float()
        predicted = np.interp(own_scale.scores_of(0, at).double().numpy(), known.grid, usual)
        moved = values.mean() + values.std() / max(predicted.std(), 1e-6) * (usual - predicted.mean())
        share = len(values) / OWN_SCALE_LABELS
        units = share * units + (1 - share) * moved
    # No value of the user's own is out of reach.
    units[0], units[-1] = min(units[0], values.min()), max(units[-1], values.max())
    std_scale = StdScale()
    if len(values) >= CALIBRATION_LABELS:
        if isinstance(transfer, TaskRegression):
            std_scale.fit(*transfer.left_out())
        else:
            predicted, std = leave_one_out(inputs, normal_scores(values), known.prior)
            std_scale.fit(predicted, np.abs(normal_scores(values) - predicted) / std)
    return TaskFit(transfer, own_scale, known.grid, units.clip(0, 1), std_scale)


def task_transfer(
    inputs: np.ndarray, values: np.ndarray, prior: np.ndarray, usual: TaskPrior | None = None
) -> LinearTransfer | TaskRegression:
    """Fits a new task to ``(k,)`` labels at ``(k, D)`` basis functions; the prior if no two values differ.

    Without known tasks, and if ``usual`` is None, it is a linear regression.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        covariance = PRIOR_TAU**2 * np.eye(1 + len(prior))
        return LinearTransfer(np.array([0.0, *prior]), covariance, 0.5)
    tasks = int(np.count_nonzero(prior))
    if not tasks or usual is None:
        return fit_transfer(inputs, normal_scores(values), prior)
    return TaskRegression.fit(inputs, normal_scores(values), tasks, usual)


def cross_validated(inputs: np.ndarray, values: np.ndarray, known: KnownTasks) -> tuple[np.ndarray, np.ndarray]:
    """``(k,)`` mean and std, in units, of labels that the whole fit has not seen: regression, scale and intervals.

    NaN where the others are all equal.
    """
    mean, std = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for left_out in folds(len(values), PARTS):
        if np.ptp(values[~left_out]) > 0:
            fit = fit_task(inputs[~left_out], values[~left_out], known)
            mean[left_out], std[left_out] = fit.predict(inputs[left_out])
    return mean, std


def scale_over_space(transfer: LinearTransfer | TaskRegression, reference: np.ndarray) -> NormalScores:
    """The scale on which a regression's values are standard normal over the space, extrapolated in both directions."""
    scale = NormalScores(1)
    scale.fit(transfer.mean(reference)[:, None], lower=-np.inf)
    return scale
