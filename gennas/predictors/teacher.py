"""A metric learnt from few archs: Gaussian processes and trees on what can be told of an arch for nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from gpytorch.kernels import ScaleKernel
from sklearn.ensemble import ExtraTreesRegressor

from gennas.predictors.gaussian_process import fitted, matern
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.quality import Z90

#: A Gaussian process sees no more archs than this; beyond, the trees see them all.
GP_ARCHS = 500
TREES, STEPS = 200, 75


@dataclass(frozen=True)
class TeacherPrediction:
    """One metric of all archs, as few labels foretell it, on the scale of the labels' normal scores.

    Attributes:
        mean: ``(N,)``.
        std: ``(N,)``, scaled so that 90 % of the labels lie in the 90 % interval that the others give them.
    """

    mean: np.ndarray
    std: np.ndarray


def fit_teacher(
    features: np.ndarray, rows: np.ndarray, values: np.ndarray, *, views: int, seed: int
) -> TeacherPrediction:
    """Learns a metric from some archs and foretells it for all.

    An equal mixture of three Gaussian processes and a forest of extremely randomised trees (Geurts, Ernst and Wehenkel,
    2006): the processes are smooth and know what they do not know, the trees find thresholds. Two processes have a
    length scale for each feature, one of these sees the first ``views`` features only; one has a single length scale.

    Args:
        features: ``(N, f)`` of all archs.
        rows: ``(k,)`` the labelled archs.
        values: ``(k,)`` their metric.
        views: how many features, from the first on, are the simpler view.
        seed: of trees, and of the choice where there are more labels than a process can see.
    """
    scores = normal_scores(values)
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.permutation(len(rows))[:GP_ARCHS])
    members = []
    for columns, apart in ((slice(None), True), (slice(views), True), (slice(None), False)):
        inputs = _standardised(features[:, columns], rows)
        members.append(_process(inputs, rows[seen], scores[seen], len(rows), seen, apart=apart))
    members.append(_forest(features, rows, scores, seed))
    mean = np.mean([member[0] for member in members], axis=0)
    apart_of = np.var([member[0] for member in members], axis=0)
    std = np.sqrt(np.mean([member[1] for member in members], axis=0) + apart_of)
    # What each label would have been foretold without it.
    left_mean = np.nanmean([member[2] for member in members], axis=0)
    left_std = np.sqrt(
        np.nanmean([member[3] for member in members], axis=0) + np.nanvar([member[2] for member in members], axis=0)
    )
    ratio = np.abs(scores - left_mean) / left_std
    level = min(0.9 * (1 + 1 / len(rows)), 1.0)
    return TeacherPrediction(mean, std * float(np.quantile(ratio, level)) / Z90)


def _standardised(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    spread = features[rows].std(axis=0)
    varies = spread > 1e-9
    if not varies.any():
        return np.zeros((len(features), 1))
    return (features[:, varies] - features[rows][:, varies].mean(axis=0)) / spread[varies]


Member = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _process(
    inputs: np.ndarray, rows: np.ndarray, scores: np.ndarray, labels: int, seen: np.ndarray, *, apart: bool
) -> Member:
    """Mean and variance of all archs, and of every label left out (nan for those it never saw)."""
    width = inputs.shape[1]
    points, target = torch.from_numpy(inputs), torch.from_numpy(scores)
    process = fitted(points[rows], target, ScaleKernel(matern(width, np.e, apart=apart)), steps=STEPS)
    left = np.full((2, labels), np.nan)
    left[:, seen] = torch.stack(process.left_out()).numpy()
    mean, std = process.moments(points)
    return mean.numpy(), (std.square() + process.noise).numpy(), left[0], left[1]


def _forest(features: np.ndarray, rows: np.ndarray, scores: np.ndarray, seed: int) -> Member:
    """The same by trees: the spread of their answers and what they err by out of bag."""
    forest = ExtraTreesRegressor(TREES, max_features=0.5, random_state=seed).fit(features[rows], scores)
    mean, square = np.zeros(len(features)), np.zeros(len(features))
    inputs = features.astype(np.float32)
    for tree in forest.estimators_:
        told = tree.predict(inputs, check_input=False)
        mean, square = mean + told / TREES, square + told**2 / TREES
    bagged = ExtraTreesRegressor(TREES, max_features=0.5, bootstrap=True, oob_score=True, random_state=seed)
    with warnings.catch_warnings():
        # With very few archs some are in every bag.
        warnings.simplefilter("ignore", UserWarning)
        left = bagged.fit(features[rows], scores).oob_prediction_
    error = np.full(len(rows), np.square(scores - left).mean())
    return mean, (square - mean**2).clip(0) + error.mean() / 2, left, error
