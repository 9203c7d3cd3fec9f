"""Acquisition functions against BoTorch's own and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.models import SingleTaskGP

from gennas.metrics import Constraint, Objective
from gennas.pareto import hypervolume, pareto
from gennas.predictors.gaussian_process import Process
from gennas.problem import Problem
from gennas.search.acquisition import Improve, Learnt
from gennas.search.base import History
from gennas.search.improvement import LogEHVI
from gennas.search.mutation import random_archs
from gennas.search.surrogate import Inputs, Scale
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
FRAME = load_table("nasbench201").frame
ARCHS = random_archs(SPACE, 200, np.random.default_rng(1))
ACCURACY = np.array([FRAME.loc[arch.key, "test_accuracy@cifar10"] for arch in ARCHS])
#: Real multiply-adds stand for milliseconds.
LATENCY = np.array([SPACE.costs(arch, TASK)["macs_m"] for arch in ARCHS])
ONE = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10"))
BOUND = Problem(SPACE, TASK, ONE.objective, (Constraint.parse("latency_ms@cpu <= 60"),))
TWO = Problem(SPACE, TASK, Objective.parse("accuracy@cifar10, -latency_ms@cpu"))


def seen_of(problem: Problem, count: int, pending: int = 0) -> History:
    values = np.column_stack([ACCURACY, LATENCY])[:count, : len(problem.metrics)].copy()
    running = np.arange(count) >= count - pending
    values[running] = np.nan
    return History(tuple(ARCHS[:count]), values, running, np.zeros(count, bool), ("random",) * count)


def learnt_of(problem: Problem, count: int = 30, pending: int = 0, improve: Improve = "outcome") -> Learnt:
    history = seen_of(problem, count, pending)
    return Learnt.of(problem, Inputs(SPACE, TASK, problem.metrics), history, improve)


@pytest.mark.parametrize("improve", ["outcome", "mean"])
def test_one_objective_is_worth_its_expected_improvement(improve: Improve) -> None:
    learnt = learnt_of(ONE, improve=improve)
    points = learnt.inputs.of(ARCHS[30:80])
    process = learnt.surrogates[0]
    assert isinstance(process, Process)
    with torch.no_grad():
        told = process.model.posterior(points[:, None], observation_noise=improve == "outcome")
        theirs = LogExpectedImprovement(_Fixed(told), best_f=learnt.improvement.told.max())(points[:, None])
    torch.testing.assert_close(learnt.acquisition_values(points), theirs, rtol=1e-3, atol=1e-3)


def test_outcomes_are_compared_with_values_and_means_with_means() -> None:
    outcome, mean = learnt_of(ONE).improvement, learnt_of(ONE, improve="mean").improvement
    scores = Scale.by_rank(ONE.metrics[0], ACCURACY[:30])(ACCURACY[:30])
    np.testing.assert_allclose(outcome.told[:, 0].numpy(), scores)
    assert mean.told.max() < outcome.told.max()


def test_a_bound_lowers_what_probably_breaks_it() -> None:
    plain, bound = learnt_of(ONE), learnt_of(BOUND)
    points = plain.inputs.of(ARCHS[30:])
    loss = (plain.acquisition_values(points) - bound.acquisition_values(points)).numpy()
    slow = LATENCY[30:] > 90
    fast = LATENCY[30:] < 30
    assert np.median(loss[slow]) > np.median(loss[fast]) + 1


class _Fixed(SingleTaskGP):
    """A model whose posterior is given."""

    def __init__(self, told: object) -> None:
        super().__init__(torch.zeros(2, 1, dtype=torch.double), torch.tensor([[0.0], [1.0]], dtype=torch.double))
        self.given = told

    def posterior(self, *args: object, **options: object) -> object:
        return self.given


def test_two_objectives_are_worth_their_expected_hypervolume_improvement() -> None:
    learnt = learnt_of(TWO)
    points = learnt.inputs.of(ARCHS[30:50])
    mean, std = learnt.moments(points)
    noise = torch.tensor([surrogate.noise for surrogate in learnt.surrogates], dtype=torch.double)
    spread = (std.square() + noise).sqrt()
    draws = mean + spread * torch.randn(4000, *mean.shape, generator=torch.Generator().manual_seed(0)).double()
    assert isinstance(learnt.improvement, LogEHVI)
    reference, told = learnt.improvement.reference.numpy(), learnt.improvement.told.numpy()
    before = hypervolume(told, reference)
    gains = [
        np.mean([hypervolume(np.vstack([told, draw]), reference) - before for draw in draws[:, row].numpy()])
        for row in range(3)
    ]
    np.testing.assert_allclose(learnt.acquisition_values(points)[:3].exp().numpy(), gains, rtol=0.15, atol=2e-3)


def test_the_reference_point_lies_beyond_what_is_expected_of_random_archs() -> None:
    learnt = learnt_of(TWO)
    expected = learnt.moments(learnt.inputs.of(learnt.inputs.reference))[0]
    assert isinstance(learnt.improvement, LogEHVI)
    front = pareto(torch.cat([learnt.improvement.told, expected]).numpy())
    assert (learnt.improvement.reference.numpy() < front.min(0)).all()


@pytest.mark.parametrize("problem", [ONE, TWO], ids=["one", "two"])
def test_believing_leaves_what_is_expected_and_narrows_it(problem: Problem) -> None:
    learnt = learnt_of(problem)
    points = learnt.inputs.of(ARCHS[30:60])
    then = learnt.fantasize(points[:2])
    (mean, std), (mean_then, std_then) = learnt.moments(points), then.moments(points)
    torch.testing.assert_close(mean_then, mean, rtol=1e-6, atol=1e-6)
    assert (std_then <= std + 1e-9).all()
    assert (std_then[:2] < 0.9 * std[:2]).any()
    assert len(then.improvement.told) == len(learnt.improvement.told) + 2
    assert then.acquisition_values(points)[:2].max() < learnt.acquisition_values(points)[:2].max()


@pytest.mark.parametrize("problem", [ONE, BOUND, TWO], ids=["one", "bound", "two"])
def test_picks_are_the_best_each_given_those_before(problem: Problem) -> None:
    learnt = learnt_of(problem, 40, 3)
    choices = learnt.inputs.of(ARCHS[40:100])
    rows, worths = learnt.pick(choices, 3, seed=0)
    taken: list[int] = []
    for row, told in zip(rows, worths, strict=True):
        acquisition_values = learnt.fantasize(torch.cat([learnt.pending, choices[taken]])).acquisition_values(choices)
        acquisition_values[taken] = -torch.inf
        assert row == int(acquisition_values.argmax())
        assert told == pytest.approx(float(acquisition_values.max()))
        taken.append(row)


@pytest.mark.parametrize("improve", ["outcome", "mean"])
@pytest.mark.parametrize("problem", [ONE, BOUND, TWO], ids=["one", "bound", "two"])
def test_picks_are_distinct_good_and_repeatable(problem: Problem, improve: Improve) -> None:
    learnt = learnt_of(problem, 40, 3, improve)
    choices = learnt.inputs.of(ARCHS[40:100])
    rows, worths = learnt.pick(choices, 4, seed=3)
    assert len(set(rows)) == 4
    assert len(worths) == 4
    assert rows == learnt.pick(choices, 4, seed=3)[0]
    acquisition_values = learnt.acquisition_values(choices)
    assert acquisition_values[rows].mean() > acquisition_values.mean()


def test_archs_that_compute_the_same_are_two_picks() -> None:
    learnt = learnt_of(ONE)
    one = learnt.inputs.of(ARCHS[50:51])
    rows, _ = learnt.pick(torch.cat([one, one, learnt.inputs.of(ARCHS[60:61])]), 3, seed=0)
    assert sorted(rows) == [0, 1, 2]


def test_where_every_bound_is_broken_the_search_goes_where_they_may_hold() -> None:
    problem = Problem(SPACE, TASK, ONE.objective, (Constraint.parse("latency_ms@cpu <= 20"),))
    history = seen_of(problem, 30)
    slow = history.values[:, 1] > 20
    kept = History(
        tuple(arch for arch, keep in zip(history.archs, slow, strict=True) if keep), history.values[slow],
        history.pending[slow], history.failed[slow], ("random",) * int(slow.sum()),
    )  # fmt: skip
    learnt = Learnt.of(problem, Inputs(SPACE, TASK, problem.metrics), kept)
    acquisition_values = learnt.acquisition_values(learnt.inputs.of(ARCHS[30:])).numpy()
    order = np.argsort(-acquisition_values)
    assert LATENCY[30:][order[:20]].mean() < LATENCY[30:].mean()
    rows, _ = learnt.pick(learnt.inputs.of(ARCHS[30:60]), 2, seed=0)
    assert len(set(rows)) == 2
