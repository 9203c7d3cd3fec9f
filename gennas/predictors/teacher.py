"""The teacher model: predicts a metric from few labels, by Gaussian processes and trees on training-free features."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from gpytorch.kernels import Kernel, ScaleKernel
from sklearn.ensemble import ExtraTreesRegressor

from gennas.predictors.gaussian_process import fitted, log_normal, matern, measured_noise, scaled, slot_covariance
from gennas.predictors.normal_scores import noise_of_scores, normal_scores
from gennas.predictors.quality import Z90
from gennas.predictors.slot_features import SlotColumns

#: Largest number of archs that a Gaussian process is fitted to; the trees use all.
GP_ARCHS = 500
TREES, STEPS = 200, 75
#: Mode of the prior of the variance of features, and of slots, where a process knows both.
VARIANCE = 0.3
SLOTS = 0.3


@dataclass(frozen=True)
class TeacherPrediction:
    """Predictions of one metric for all archs, in normal scores of the labels.

    Attributes:
        mean: ``(N,)`` means.
        std: ``(N,)`` stds, calibrated so that leave-one-out 90 % intervals cover 90 % of the labels.
    """

    mean: np.ndarray
    std: np.ndarray


def fit_teacher(
    features: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    *,
    num_simple: int,
    seed: int,
    slots: SlotColumns | None = None,
    noise: float | None = None,
) -> TeacherPrediction:
    """Fits a metric to the labels of some archs and predicts it for all.

    An equal mixture of three Gaussian processes and a forest of extremely randomised trees (Geurts, Ernst and Wehenkel,
    2006): the processes are smooth and have well-founded uncertainties, the trees find thresholds. Two processes have
    one length scale per feature, and one of these uses only the first ``num_simple`` features; the third has a single
    length scale. Where slots are known, to each process is added what
    :func:`gennas.predictors.gaussian_process.slot_covariance` says of them, and the trees see their columns.

    Args:
        features: ``(N, f)`` features of all archs.
        rows: ``(k,)`` indices of the labelled archs.
        values: ``(k,)`` their labels.
        num_simple: number of leading features for the simpler process.
        seed: seed of the trees, and of the subset that the processes are fitted to.
        slots: what each slot of all archs holds; None if it is not known, or means nothing.
        noise: std of the error of a label; None if it is not known.
    """
    scores = normal_scores(values)
    rng = np.random.default_rng(seed)
    subset = np.sort(rng.permutation(len(rows))[:GP_ARCHS])
    slots = None if slots is None else slots.varying(rows)
    variance = None if noise is None else noise_of_scores(values, noise)
    members = []
    for columns, ard in ((slice(None), True), (slice(num_simple), True), (slice(None), False)):
        inputs = _standardised(features[:, columns], rows)
        members.append(
            _process(inputs, rows[subset], scores[subset], len(rows), subset, ard=ard, slots=slots, noise=variance)
        )
    every = features if slots is None else np.hstack([features, slots.values])
    members.append(_forest(every, rows, scores, seed))
    mean = np.mean([member[0] for member in members], axis=0)
    disagreement = np.var([member[0] for member in members], axis=0)
    std = np.sqrt(np.mean([member[1] for member in members], axis=0) + disagreement)
    # Leave-one-out predictions of the labels.
    loo_mean = np.nanmean([member[2] for member in members], axis=0)
    loo_std = np.sqrt(
        np.nanmean([member[3] for member in members], axis=0) + np.nanvar([member[2] for member in members], axis=0)
    )
    ratio = np.abs(scores - loo_mean) / loo_std
    level = min(0.9 * (1 + 1 / len(rows)), 1.0)
    return TeacherPrediction(mean, std * float(np.quantile(ratio, level)) / Z90)


def _standardised(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    std = features[rows].std(axis=0)
    varies = std > 1e-9
    if not varies.any():
        return np.zeros((len(features), 1))
    return (features[:, varies] - features[rows][:, varies].mean(axis=0)) / std[varies]


#: Mean and variance ``(N,)`` of all archs; leave-one-out mean and variance ``(k,)`` of the labels.
Member = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _process(
    inputs: np.ndarray,
    rows: np.ndarray,
    scores: np.ndarray,
    labels: int,
    subset: np.ndarray,
    *,
    ard: bool,
    slots: SlotColumns | None = None,
    noise: float | None = None,
) -> Member:
    """Predictions of a Gaussian process; leave-one-out moments are nan for labels outside its subset.

    ``noise`` is the variance of the scores' errors, where it is known.
    """
    width = inputs.shape[1]
    covariance: Kernel = ScaleKernel(matern(width, math.e, ard=ard))
    if slots is not None:
        covariance = scaled(matern(width, math.e, ard=ard), log_normal(VARIANCE, 1.0))
        columns = range(width, width + len(slots.slot_of))
        covariance = covariance + slot_covariance(columns, slots.slot_of.tolist(), SLOTS)
        inputs = np.hstack([inputs, slots.values - slots.values[rows].mean(axis=0)])
    points, target = torch.from_numpy(inputs), torch.from_numpy(scores)
    likelihood = None if noise is None else measured_noise(noise)
    process = fitted(points[rows], target, covariance, steps=STEPS, likelihood=likelihood)
    loo = np.full((2, labels), np.nan)
    loo[:, subset] = torch.stack(process.left_out()).numpy()
    mean, std = process.moments(points)
    return mean.numpy(), (std.square() + process.noise).numpy(), loo[0], loo[1]


def _forest(features: np.ndarray, rows: np.ndarray, scores: np.ndarray, seed: int) -> Member:
    """Predictions of a forest: the variance over its trees, and out-of-bag errors."""
    forest = ExtraTreesRegressor(TREES, max_features=0.5, random_state=seed).fit(features[rows], scores)
    mean, square = np.zeros(len(features)), np.zeros(len(features))
    inputs = features.astype(np.float32)
    for tree in forest.estimators_:
        predicted = tree.predict(inputs, check_input=False)
        mean, square = mean + predicted / TREES, square + predicted**2 / TREES
    bagged = ExtraTreesRegressor(TREES, max_features=0.5, bootstrap=True, oob_score=True, random_state=seed)
    with warnings.catch_warnings():
        # With very few archs, some are in every bag.
        warnings.simplefilter("ignore", UserWarning)
        out_of_bag = bagged.fit(features[rows], scores).oob_prediction_
    error = np.full(len(rows), np.square(scores - out_of_bag).mean())
    return mean, (square - mean**2).clip(0) + error.mean() / 2, out_of_bag, error
