"""Acquisition functions against BoTorch's own and against counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.models import SingleTaskGP
from surrogate_toys import ACCURACY, ARCHS, BOUND, LATENCY, ONE, SPACE, TASK, TWO, acquisition_of, history_of

from gennas.metrics import Constraint
from gennas.pareto import hypervolume, pareto
from gennas.predictors.gaussian_process import Process
from gennas.problem import Problem
from gennas.search.acquisition import Acquisition, baseline_rows
from gennas.search.base import History
from gennas.search.improvement import LogEHVI
from gennas.search.inputs import Inputs
from gennas.search.scale import Scale
from gennas.search.selection import select_outcomes
from gennas.search.surrogate import ProblemSurrogate


class _Fixed(SingleTaskGP):
    """A model whose posterior is given."""

    def __init__(self, given: object) -> None:
        super().__init__(torch.zeros(2, 1, dtype=torch.double), torch.tensor([[0.0], [1.0]], dtype=torch.double))
        self.given = given

    def posterior(self, *args: object, **options: object) -> object:
        return self.given


def test_one_objective_is_its_expected_improvement() -> None:
    acquisition = acquisition_of(ONE)
    points = acquisition.surrogate.inputs.of(ARCHS[30:80])
    process = acquisition.surrogate.metrics[0]
    assert isinstance(process, Process)
    with torch.no_grad():
        posterior = process.model.posterior(points[:, None], observation_noise=True)
        theirs = LogExpectedImprovement(_Fixed(posterior), best_f=acquisition.improvement.observed.max())(
            points[:, None]
        )
    torch.testing.assert_close(acquisition.values(points), theirs, rtol=1e-3, atol=1e-3)


def test_outcomes_are_compared_with_observed_scores() -> None:
    scores = Scale.by_rank(ONE.metrics[0], ACCURACY[:30])(ACCURACY[:30])
    np.testing.assert_allclose(acquisition_of(ONE).improvement.observed[:, 0].numpy(), scores)


def test_the_baseline_is_feasible_then_whole_then_all() -> None:
    values = np.array([[0.5, 50.0], [0.9, 70.0], [0.7, np.nan]])
    nothing = np.zeros(3, dtype=bool)
    history = History(tuple(ARCHS[:3]), values, nothing, nothing, ("random",) * 3)
    assert baseline_rows(BOUND, history).tolist() == [0]
    tight = Problem(SPACE, TASK, ONE.objective, (Constraint.parse("latency_ms@cpu <= 40"),))
    assert baseline_rows(tight, history).tolist() == [0, 1]
    values[:, 1] = np.nan
    assert baseline_rows(tight, history).tolist() == [0, 1, 2]


def test_a_bound_lowers_what_probably_breaks_it() -> None:
    plain, bound = acquisition_of(ONE), acquisition_of(BOUND)
    points = plain.surrogate.inputs.of(ARCHS[30:])
    loss = (plain.values(points) - bound.values(points)).numpy()
    slow = LATENCY[30:] > 90
    fast = LATENCY[30:] < 30
    assert np.median(loss[slow]) > np.median(loss[fast]) + 1


def test_two_objectives_are_their_expected_hypervolume_improvement() -> None:
    acquisition = acquisition_of(TWO)
    points = acquisition.surrogate.inputs.of(ARCHS[30:50])
    mean, std = acquisition.surrogate.moments(points)
    noise = torch.tensor([surrogate.noise for surrogate in acquisition.surrogate.metrics], dtype=torch.double)
    draws = mean + (std.square() + noise).sqrt() * torch.randn(
        4000, *mean.shape, generator=torch.Generator().manual_seed(0)
    )
    assert isinstance(acquisition.improvement, LogEHVI)
    reference, observed = acquisition.improvement.reference.numpy(), acquisition.improvement.observed.numpy()
    before = hypervolume(observed, reference)
    gains = [
        np.mean([hypervolume(np.vstack([observed, draw]), reference) - before for draw in draws[:, row].numpy()])
        for row in range(3)
    ]
    np.testing.assert_allclose(acquisition.values(points)[:3].exp().numpy(), gains, rtol=0.15, atol=2e-3)


def test_the_reference_point_lies_beyond_what_is_expected_of_random_archs() -> None:
    acquisition = acquisition_of(TWO)
    inputs = acquisition.surrogate.inputs
    expected = acquisition.surrogate.moments(inputs.of(inputs.reference))[0]
    assert isinstance(acquisition.improvement, LogEHVI)
    front = pareto(torch.cat([acquisition.improvement.observed, expected]).numpy())
    assert (acquisition.improvement.reference.numpy() < front.min(0)).all()


@pytest.mark.parametrize("problem", [ONE, TWO], ids=["one", "two"])
def test_a_fantasy_keeps_the_means_and_narrows_them(problem: Problem) -> None:
    acquisition = acquisition_of(problem)
    points = acquisition.surrogate.inputs.of(ARCHS[30:60])
    fantasy = acquisition.fantasize(points[:2])
    (mean, std), (mean_then, std_then) = acquisition.surrogate.moments(points), fantasy.surrogate.moments(points)
    torch.testing.assert_close(mean_then, mean, rtol=1e-6, atol=1e-6)
    assert (std_then <= std + 1e-9).all()
    assert (std_then[:2] < 0.9 * std[:2]).any()
    assert len(fantasy.improvement.observed) == len(acquisition.improvement.observed) + 2
    assert fantasy.values(points)[:2].max() < acquisition.values(points)[:2].max()


def test_where_every_bound_is_broken_the_search_goes_where_they_may_hold() -> None:
    problem = Problem(SPACE, TASK, ONE.objective, (Constraint.parse("latency_ms@cpu <= 20"),))
    history = history_of(problem, 30)
    slow = history.values[:, 1] > 20
    broken = History(
        tuple(arch for arch, keep in zip(history.archs, slow, strict=True) if keep), history.values[slow],
        history.pending[slow], history.failed[slow], ("random",) * int(slow.sum()),
    )  # fmt: skip
    surrogate = ProblemSurrogate.fit(problem, Inputs(SPACE, TASK, problem.metrics), broken)
    acquisition = Acquisition.of(problem, surrogate, broken)
    assert not acquisition.any_feasible
    values = acquisition.values_of(ARCHS[30:]).numpy()
    order = np.argsort(-values)
    assert LATENCY[30:][order[:20]].mean() < LATENCY[30:].mean()
    rows, _ = select_outcomes(acquisition, surrogate.inputs.of(ARCHS[30:60]), 2)
    assert len(set(rows)) == 2
