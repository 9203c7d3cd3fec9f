"""Task evidence: the kernel in closed form, its shares, and what repeats of what a model leaves over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gennas.errors import InvalidInputError
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.task_kernel import TaskKernel, TaskMean, label_scores, rank_noise, shared_scores, task_shares


def test_the_covariance_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    inputs, similarity = rng.normal(size=(5, 4)), np.array([1.0, 3.0])
    kernel = TaskKernel([1, 3], similarity, shared=0.3, behaviour=0.4)
    kernel.set_variances("task", torch.tensor([0.1, 0.7], dtype=torch.double))
    x, s, v = inputs[:, [1, 3]], similarity / 4, np.array([0.1, 0.7])
    expected = np.empty((5, 5))
    for i, j in np.ndindex(5, 5):
        together = 0.3 * (s @ x[i]) * (s @ x[j]) + (v * x[i] * x[j]).sum()
        expected[i, j] = together + 0.4 * np.exp(-0.5 * (s * (x[i] - x[j]) ** 2).sum())
    points = torch.from_numpy(inputs)
    with torch.no_grad():
        assert kernel(points).to_dense().numpy() == pytest.approx(expected, abs=1e-9)
        assert kernel(points, diag=True).numpy() == pytest.approx(np.diag(expected), abs=1e-9)


def test_a_task_that_is_said_to_be_unlike_begins_with_next_to_no_variance() -> None:
    kernel = TaskKernel([0, 1, 2], np.array([2.0, 0.0, 2.0]), task=0.2)
    assert kernel.variances("task").tolist() == pytest.approx([0.1, 1e-4, 0.1], rel=1e-3)
    mean = TaskMean([0, 1, 2], torch.zeros(3, dtype=torch.double), 2.0, np.array([2.0, 0.0, 2.0]))
    assert mean(torch.tensor([[1.0, 50.0, 0.5]], dtype=torch.double)).item() == pytest.approx(1.5)


@pytest.mark.parametrize("similarity", [[1.0, -0.1], [0.0, 0.0], [1.0, np.nan], [1.0]])
def test_similarities_that_mean_nothing_are_refused(similarity: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="similarity"):
        task_shares(2, np.array(similarity))


def test_what_is_left_over_counts_as_far_as_it_repeats() -> None:
    rng = np.random.default_rng(1)
    smooth, own, noise = rng.normal(size=(4000, 4)), rng.normal(size=(4000, 1)), rng.normal(size=(4000, 4))
    assert shared_scores(smooth + noise, smooth) == pytest.approx(smooth - smooth.mean(0), abs=0.25)
    # Half of the variance repeats: r = 1/2, and of the mean of four tasks 4 r / (1 + 3 r) = 4/5.
    both = shared_scores(smooth + own + noise, smooth)
    share = ((both - smooth) * (own + noise)).sum() / np.square(own + noise).sum()
    assert share == pytest.approx(0.8, abs=0.03)


def test_labels_are_scored_by_rank_and_size() -> None:
    values = np.array([0.1, 0.9, 0.91, 0.92])
    scores = label_scores(values)
    assert scores.mean() == pytest.approx(0, abs=1e-12)
    assert (np.diff(scores) > 0).all()
    ranks = normal_scores(values)
    assert scores[1] - scores[0] > ranks[1] - ranks[0]
    assert label_scores(np.array([0.5, 0.5])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("count", [5, 12, 40])
def test_ranks_are_as_noisy_as_draws_of_normal_values_say(count: int) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(600):
        values = rng.normal(size=count)
        inputs = np.column_stack([np.ones(count), values])
        weights, (square,), *_ = np.linalg.lstsq(inputs, normal_scores(values), rcond=None)
        found.append(square / (count - 2) / weights[1] ** 2)
    assert rank_noise(count, share=1.0) == pytest.approx(np.median(found), rel=0.1)
    assert rank_noise(count, share=0.5) == rank_noise(count, share=1.0) / 4
