"""A new task's process over predictions: closed forms, masked graphs, and what it learns where tasks differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from gennas.predictors import task_regression as module
from gennas.predictors.new_task import Hyperparameters
from gennas.predictors.task_fit import task_transfer
from gennas.predictors.task_kernel import rank_noise
from gennas.predictors.task_regression import TaskRegression, usual_task

TASKS, DESCRIBED = 3, 2
#: Of the evaluations of :func:`fitted`.
NOISE = 0.3


def inputs_of(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, TASKS + DESCRIBED))


def fitted() -> tuple[TaskRegression, np.ndarray, np.ndarray]:
    """A regression on 12 archs with given hyperparameters, what it sees of these, and their scores."""
    inputs = inputs_of(0, 12)
    labels = inputs[:, 0] - inputs[:, 1] + 0.2 * np.random.default_rng(1).normal(size=12)
    found = Hyperparameters(0.2, 0.1, 0.3, NOISE, 1.4, 0.25, np.array([0.5, 0.2, 0.1]))
    return TaskRegression(inputs, labels, found, 0.6), inputs, labels


def covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """That of :func:`fitted`, written out."""
    z, y = one[:, None, :TASKS], other[None, :, :TASKS]
    found = 0.2 * one[:, TASKS:] @ other[:, TASKS:].T + 0.5 + 0.1 * z.mean(-1) * y.mean(-1)
    found = found + (np.array([0.5, 0.2, 0.1]) * z * y).sum(-1)
    return found + 0.3 * np.exp(-np.square(z - y).mean(-1) / 2)


def test_moments_are_those_of_the_process() -> None:
    regression, inputs, labels = fitted()
    new = inputs_of(2, 7)
    noise = NOISE + rank_noise(12, share=1.0)
    gram, cross = covariance(inputs, inputs) + noise * np.eye(12), covariance(new, inputs)
    expected = 0.6 * new[:, :TASKS].mean(1)
    expected = expected + cross @ np.linalg.solve(gram, labels / 1.4 - 0.6 * inputs[:, :TASKS].mean(1))
    variance = np.diag(covariance(new, new) - cross @ np.linalg.solve(gram, cross.T)) + noise + (0.25 * expected) ** 2
    mean, std = regression.predict(new)
    assert mean == pytest.approx(1.4 * expected)
    assert std == pytest.approx(1.4 * np.sqrt(variance))
    assert regression.noise == pytest.approx(1.4 * noise**0.5)


def test_a_label_is_left_out_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    regression, inputs, labels = fitted()
    means, off = regression.left_out()
    monkeypatch.setattr(module, "rank_noise", lambda count, share: rank_noise(12, share))
    for row in range(12):
        others = np.delete(np.arange(12), row)
        without = TaskRegression(
            inputs[others],
            labels[others],
            Hyperparameters(0.2, 0.1, 0.3, NOISE, 1.4, 0.25, np.array([0.5, 0.2, 0.1])),
            0.6,
        )
        mean, std = without.predict(inputs[row : row + 1])
        assert means[row] == pytest.approx(mean[0])
        assert off[row] == pytest.approx(abs(labels[row] - mean[0]) / std[0])


def test_of_a_masked_graph_the_mean_is_that_over_its_completions() -> None:
    regression, *_ = fitted()
    mean, std = torch.from_numpy(inputs_of(3, 1)[0]), torch.tensor([0.6, 0.3, 0.5, 0.2, 0.4], dtype=torch.double)
    draws = mean + std * torch.from_numpy(np.random.default_rng(4).normal(size=(200_000, TASKS + DESCRIBED)))
    completed = regression(draws, torch.zeros_like(draws))[0]
    error = float(completed.std()) / len(draws) ** 0.5
    assert float(regression(mean, std)[0]) == pytest.approx(float(completed.mean()), abs=4 * error)


def test_slopes_are_those_of_the_mean() -> None:
    regression, inputs, _ = fitted()
    for column in range(TASKS + DESCRIBED):
        moved = np.zeros(TASKS + DESCRIBED)
        moved[column] = 1e-5
        difference = (regression.mean(inputs + moved) - regression.mean(inputs - moved)).mean() / 2e-5
        assert float(regression.slopes()[column]) == pytest.approx(difference, rel=1e-4, abs=1e-6)


def test_a_task_that_is_the_reverse_of_a_known_one_is_learnt() -> None:
    inputs, rng = inputs_of(5, 600), np.random.default_rng(6)
    usual = usual_task(inputs, inputs[:, :TASKS] + 0.3 * rng.normal(size=(600, TASKS)))
    values = 0.7 - 0.05 * inputs[:, 0] + 0.01 * rng.normal(size=600)
    prior = np.array([1 / 3, 1 / 3, 1 / 3, 0, 0])
    taus = [
        kendalltau(task_transfer(inputs[:count], values[:count], prior, usual).mean(inputs[30:]), values[30:]).statistic
        for count in (1, 30)
    ]
    assert taus[0] < 0
    assert taus[1] > 0.7


@pytest.mark.parametrize("labels", [2, 3])
def test_the_fewest_labels_give_finite_moments(labels: int) -> None:
    inputs = inputs_of(7, 300)
    usual = usual_task(inputs, inputs[:, :TASKS])
    fit = task_transfer(inputs[:labels], np.linspace(0.4, 0.6, labels), np.array([1 / 3] * 3 + [0.0] * 2), usual)
    mean, std = fit.predict(inputs)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
