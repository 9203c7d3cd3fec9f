"""The teacher model: predicts a metric from few labels, by Gaussian processes and trees on training-free features."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from gpytorch.kernels import Kernel, ScaleKernel
from scipy.stats import kendalltau
from sklearn.ensemble import ExtraTreesRegressor

from gennas.predictors.features import COSTS
from gennas.predictors.gaussian_process import fitted, log_normal, matern, measured_noise, scaled, slot_covariance
from gennas.predictors.normal_scores import NormalScores, noise_of_scores, normal_scores
from gennas.predictors.quality import Z90
from gennas.predictors.slot_features import SlotColumns

#: Largest number of archs that hyperparameters of a Gaussian process are fitted to. Of so many labels in all it learns
#: each; of more, only these. The trees use all.
GP_ARCHS, LEARNT = 500, 2500
TREES, STEPS = 200, 75
#: Mode of the prior of the variance of features, and of slots, where a process knows both.
VARIANCE = 0.3
SLOTS = 0.3
#: With fewer labels their order when left out is mostly chance, and normal scores are taken.
FEWEST_TO_CHOOSE = 30
#: Of predictions that were made in units, in normal scores.
LEAST_STD = 1e-3


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
    :func:`gennas.predictors.gaussian_process.slot_covariance` says of them, the trees see their columns, and a fourth
    process knows but the costs beside them.

    Ranks tame metrics with a heavy tail, but bend those that are nearly sums over slots. So where slots are known, all
    learn the values themselves, if these let the fourth process order left-out labels better than normal scores do.

    Args:
        features: ``(N, f)`` features of all archs.
        rows: ``(k,)`` indices of the labelled archs.
        values: ``(k,)`` their labels.
        num_simple: number of leading features for the simpler process.
        seed: seed of the trees, and of the subset that the processes are fitted to.
        slots: what each slot of all archs holds; None if it is not known, or means nothing.
        noise: std of the error of a label; None if it is not known.
    """
    rng = np.random.default_rng(seed)
    subset = np.sort(rng.permutation(len(rows))[:GP_ARCHS])
    slots = None if slots is None else slots.varying(rows)

    # Their hyperparameters are fitted to some labels, and then all are learnt, as far as that takes seconds.
    more = np.setdiff1d(np.arange(len(rows)), subset) if len(rows) <= LEARNT else np.arange(0)
    learnt = np.concatenate([subset, more])

    def process(inputs: np.ndarray, scores: np.ndarray, variance: float | None, *, ard: bool) -> Member:
        own, known = rows[learnt], scores[learnt]
        return _process(inputs, own, known, len(rows), learnt, ard=ard, slots=slots, noise=variance)

    scales, members = _scales(values, noise), []
    scores, variance = scales[0]
    if slots is not None:
        costs = _standardised(features[:, :COSTS], rows)
        fits = [process(costs, *scale, ard=True) for scale in scales]
        chosen = int(np.argmax([_agreement(member[2], values) for member in fits]))
        (scores, variance), members = scales[chosen], [fits[chosen]]
    for columns, ard in ((slice(None), True), (slice(num_simple), True), (slice(None), False)):
        members.append(process(_standardised(features[:, columns], rows), scores, variance, ard=ard))
    seen = features if slots is None else np.hstack([features, slots.values])
    members.append(_forest(seen, rows, scores, seed))
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
    std = std * float(np.quantile(ratio, level)) / Z90
    return TeacherPrediction(*((mean, std) if scores is scales[0][0] else _in_scores(mean, std, values)))


def _scales(values: np.ndarray, noise: float | None) -> list[tuple[np.ndarray, float | None]]:
    """Labels as the models may see them, and the variance of their noise: normal scores first, then plain values."""
    scales = [(normal_scores(values), None if noise is None else noise_of_scores(values, noise))]
    if len(values) >= FEWEST_TO_CHOOSE and values.std() > 0:
        std = float(values.std())
        scales.append(((values - values.mean()) / std, None if noise is None else (noise / std) ** 2))
    return scales


def _agreement(left_out: np.ndarray, values: np.ndarray) -> float:
    """How well leave-one-out predictions, NaN where there is none, order the labels: Kendall tau."""
    seen = ~np.isnan(left_out)
    return float(np.nan_to_num(kendalltau(left_out[seen], values[seen]).statistic, nan=-1.0))


def _in_scores(mean: np.ndarray, std: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of standardised labels, in normal scores of the labels."""
    scale = NormalScores(1)
    scale.fit(values[:, None], lower=-np.inf)

    def score(standardised: np.ndarray) -> np.ndarray:
        units = torch.from_numpy(values.mean() + values.std() * standardised).float()
        found: np.ndarray = scale.scores_of(0, units).double().numpy()
        return found

    return score(mean), ((score(mean + std) - score(mean - std)) / 2).clip(LEAST_STD)


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

    Its hyperparameters are fitted to the first :data:`GP_ARCHS` of them. ``noise`` is the variance of the scores'
    errors, where it is known.
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
    first, more = rows[:GP_ARCHS], rows[GP_ARCHS:]
    process = fitted(points[first], target[:GP_ARCHS], covariance, steps=STEPS, likelihood=likelihood)
    if len(more):
        process = process.fantasize(points[more], target[GP_ARCHS:])
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
