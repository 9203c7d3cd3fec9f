"""A new task: its scale is that of its labels, its intervals hold, and what the user measured is on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from gennas.predictors.conformal import FACTORS, StdScale
from gennas.predictors.quality import Z90
from gennas.predictors.task_fit import OWN_SCALE_LABELS, KnownTasks, cross_validated, fit_task
from gennas.predictors.task_regression import usual_task

#: How a task's accuracy depends on what a basis function says.
TASKS = {
    "robust": lambda z: 0.45 + 0.12 * np.tanh(z),
    "saturated": lambda z: 1 - 0.08 * np.exp(-1.2 * z),
    "low": lambda z: 0.02 + 0.01 * np.exp(0.8 * z),
    "alike": lambda z: 0.85 + 0.02 * z,
}


def known_of(rng: np.random.Generator) -> KnownTasks:
    """Two tasks, whose accuracies lie around 0.85."""
    grid = np.linspace(-6, 6, 131)
    reference = _inputs(rng, 1000)
    usual = usual_task(reference, reference + 0.3 * np.random.default_rng(9).normal(size=reference.shape))
    return KnownTasks(reference, np.full(2, 0.5), grid, np.clip(0.85 + 0.02 * grid, 0, 1), usual)


def _inputs(rng: np.random.Generator, count: int) -> np.ndarray:
    inputs = rng.normal(size=(count, 1)) + 0.3 * rng.normal(size=(count, 2))
    return inputs / np.sqrt(1.09)


def drawn(name: str, count: int, seed: int) -> tuple[KnownTasks, np.ndarray, np.ndarray]:
    """What is known, inputs and values of ``count`` archs."""
    rng = np.random.default_rng(seed)
    known, inputs = known_of(rng), _inputs(rng, count)
    return known, inputs, np.clip(TASKS[name](inputs.mean(1) + 0.3 * rng.normal(size=count)), 0, 1)


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize(("labels", "least"), [(20, 0.75), (50, 0.8)])
def test_values_and_intervals_are_in_the_units_of_the_labels(name: str, labels: int, least: float) -> None:
    coverage, errors, spreads = [], [], []
    for seed in range(5):
        known, inputs, values = drawn(name, 500, seed)
        mean, std = fit_task(inputs[:labels], values[:labels], known).predict(inputs[labels:])
        truth = values[labels:]
        coverage.append((np.abs(mean - truth) <= Z90 * std).mean())
        errors.append(np.sqrt(np.square(mean - truth).mean()))
        spreads.append(truth.std())
        assert kendalltau(mean, truth).statistic > 0.6
        assert ((mean >= 0) & (mean <= 1)).all()
    assert least <= np.mean(coverage) <= 0.98
    assert np.mean(errors) < 0.55 * np.mean(spreads)


def test_coverage_is_counted_on_labels_that_the_fit_has_not_seen() -> None:
    known, inputs, values = drawn("robust", 560, 0)
    mean, std = cross_validated(inputs[:60], values[:60], known)
    told = (np.abs(mean - values[:60]) <= Z90 * std).mean()
    fit_mean, fit_std = fit_task(inputs[:60], values[:60], known).predict(inputs[60:])
    held = (np.abs(fit_mean - values[60:]) <= Z90 * fit_std).mean()
    assert told == pytest.approx(held, abs=0.1)
    nothing = np.random.default_rng(1).permutation(values[:60])
    assert kendalltau(cross_validated(inputs[:60], nothing, known)[0], nothing).statistic < 0.3


@pytest.mark.parametrize("labels", [5, 19, 20, 60])
def test_what_the_user_measured_is_on_the_scale(labels: int) -> None:
    known, inputs, values = drawn("robust", labels, 3)
    values[0] = 0.93
    for of in (values, np.random.default_rng(0).permutation(values)):
        fit = fit_task(inputs, of, known)
        assert fit.units[0] <= values.min()
        assert fit.units[-1] >= 0.93
        assert (np.diff(fit.units) >= 0).all()


def test_the_scale_of_the_known_tasks_fades() -> None:
    known, inputs, values = drawn("low", 40, 0)
    few, enough = (fit_task(inputs[:count], values[:count], known).predict(inputs)[0] for count in (4, 40))
    assert np.abs(enough - values).mean() < np.abs(few - values).mean()
    unlike = replace(known, units=np.clip(0.3 + 0.05 * known.grid, 0, 1))
    for count in (10, OWN_SCALE_LABELS):
        one, other = (fit_task(inputs[:count], values[:count], of).units for of in (known, unlike))
        assert np.array_equal(one, other) == (count == OWN_SCALE_LABELS)


def test_without_other_tasks_labels_tell_the_scale() -> None:
    known, inputs, values = drawn("robust", 300, 0)
    known = KnownTasks(known.reference, np.zeros(2), known.grid)
    mean, _ = fit_task(inputs[:50], values[:50], known).predict(inputs[50:])
    assert np.sqrt(np.square(mean - values[50:]).mean()) < 0.7 * values.std()


def test_std_factors_follow_the_predicted_value() -> None:
    scale, rng = StdScale(), np.random.default_rng(0)
    assert scale(scale.centres).tolist() == [1.0] * FACTORS
    predicted = np.sort(rng.normal(size=400))
    ratio = np.abs(rng.normal(size=400)) * np.where(predicted > 0, 3.0, 0.5)
    scale.fit(predicted, ratio)
    assert scale.factors[0] == pytest.approx(0.5, rel=0.25)
    assert scale.factors[-1] == pytest.approx(3.0, rel=0.25)
    assert (scale.centres.diff() > 0).all()
    few = StdScale()
    few.fit(predicted[:10], np.array([np.nan, *ratio[1:10]]))
    assert few.factors.unique().numel() == 1
    few.fit(predicted[:2], np.full(2, np.nan))
