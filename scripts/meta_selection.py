"""Settings of the meta-predictor by leaving out kinds of training tasks; held-out tasks are not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from meta_tasks import KINDS, TinyTables
from scipy.special import expit
from scipy.stats import kendalltau

from gennas.predictors.meta.forecast import logit
from gennas.predictors.meta.predictor import MetaPredictor, MetaSettings, TrainedTask
from gennas.predictors.quality import Z90

#: Parts into which the kinds are divided.
FOLDS = 6
#: Draws of the archs that a left-out task is evaluated on.
DRAWS = 2
#: How many these are, where as many are left to rank.
EVALUATIONS = 10


@dataclass(frozen=True, eq=False)
class LeftOut:
    """How a left-out task was forecast.

    Attributes:
        name: of the task.
        tau: Kendall's tau before any evaluation.
        updated: the same after evaluations, on the other archs.
        errors: ``(n,)`` logits of single trainings less their forecast, in forecast stds.
        width: mean width of the 90 % intervals.
        calibrated_errors: the same once gennas trained some of the archs itself, of the others.
        calibrated_width: the same.
        level: error of the mean logit.
        log_scale: error of the logarithm of the logits' std.
    """

    name: str
    tau: float
    updated: float
    errors: np.ndarray
    width: float
    calibrated_errors: np.ndarray
    calibrated_width: float
    level: float
    log_scale: float


def folds(names: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Known and left-out tasks; a kind is wholly on one side."""
    kinds = sorted({KINDS[name] for name in names})
    order = np.random.default_rng(0).permutation(len(kinds))
    for fold in range(min(FOLDS, len(kinds))):
        out = {kinds[place] for place in order[fold::FOLDS]}
        yield [name for name in names if KINDS[name] not in out], [name for name in names if KINDS[name] in out]


def left_out(
    tables: TinyTables,
    names: Sequence[str],
    facts: Sequence[str],
    settings: MetaSettings,
    std_scales: tuple[float, float] = (1.0, 1.0),
) -> list[LeftOut]:
    """Forecasts of every task from tasks of other kinds; stds times a factor before and after calibration."""
    tasks = {name: tables.trained(name, facts) for name in names}
    found = []
    for known, others in folds(names):
        meta = MetaPredictor.fit(tables.basis, facts, [tasks[name] for name in known], settings)
        meta = meta.with_std_scale(*std_scales)
        found += [_forecast(meta, tables, tasks[name], facts) for name in others]
    return found


def _forecast(meta: MetaPredictor, tables: TinyTables, task: TrainedTask, facts: Sequence[str]) -> LeftOut:
    forecast = meta.forecast(dict(zip(facts, task.encoding.tolist(), strict=True)))
    mean, std = forecast.logits_at(task.functions)
    values, updated = logit(task.accuracy), []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(values))
        few, rest = np.split(order, [min(EVALUATIONS, len(values) // 2)])
        later = forecast.updated_at(task.functions[few], task.accuracy[few])
        updated.append(_tau(later.logits_at(task.functions[rest])[0], values[rest]))
    single = logit(tables.single(task.name))
    later, rows = tables.calibrated(task.name, forecast)
    rest = np.setdiff1d(np.arange(len(values)), rows)
    later_mean, later_std = later.logits_at(task.functions[rest])
    return LeftOut(
        task.name,
        _tau(mean, values),
        float(np.mean(updated)),
        (single - mean) / std,
        width_of(mean, std),
        (single[rest] - later_mean) / later_std,
        width_of(later_mean, later_std),
        float(values.mean() - mean.mean()),
        float(np.log(task.scale) - meta.log_scale.predict(meta.encoded(dict(zip(facts, task.encoding, strict=True))))),
    )


def width_of(mean: np.ndarray, std: np.ndarray) -> float:
    """The mean width of the 90 % intervals of accuracies with these ``(n,)`` logits."""
    return float(np.mean(expit(mean + Z90 * std) - expit(mean - Z90 * std)))


def std_scale_of(found: Sequence[np.ndarray], coverage: float = 0.9) -> float:
    """The factor on stds with which this share of the archs, averaged over tasks, is within its interval.

    Args:
        found: the errors of every task, in stds.
        coverage: the share.
    """
    errors = np.concatenate([np.abs(one) for one in found])
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in found])
    order = np.argsort(errors)
    at = np.searchsorted(np.cumsum(weights[order]), coverage * weights.sum())
    return float(errors[order][min(at, len(errors) - 1)] / Z90)


def summary(found: Sequence[LeftOut]) -> dict[str, float]:
    """Means over the tasks, and root mean squares of the level's and the scale's errors."""
    return {
        "tau": float(np.mean([one.tau for one in found])),
        "tau later": float(np.mean([one.updated for one in found])),
        "level": float(np.sqrt(np.mean([one.level**2 for one in found]))),
        "log scale": float(np.sqrt(np.mean([one.log_scale**2 for one in found]))),
        "width": float(np.mean([one.width for one in found])),
        "coverage": float(np.mean([np.mean(np.abs(one.errors) <= Z90) for one in found])),
        "calibrated width": float(np.mean([one.calibrated_width for one in found])),
        "calibrated coverage": float(np.mean([np.mean(np.abs(one.calibrated_errors) <= Z90) for one in found])),
    }


def _tau(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(kendalltau(one, other).statistic)
