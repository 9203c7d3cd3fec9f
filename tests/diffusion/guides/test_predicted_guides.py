"""Guides of predicted metrics: log-values of graphs and of their next decisions, in closed form and by quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from guide_checks import asked, check_values
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor
from toys import StubPredictor, mixed, partly_masked, templates, toy

from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.predicted import ConstraintGuide, ObjectiveGuide, ScoreSource
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.spaces.template import Template

NO_ROWS = torch.empty(0, dtype=torch.long)
METRICS = ("accuracy@cifar10", "accuracy@cifar100", "latency_ms@cpu")
seeds = st.integers(0, 2**31)


def stub(std: float = 0.5, noise: float = 0.3) -> tuple[StubPredictor, ScoreSource]:
    predictor = StubPredictor(METRICS, std, noise)
    groups = {name: (name,) for name in METRICS} | {"accuracy@mine": METRICS[:2]}
    return predictor, ScoreSource(predictor, groups)


class Digits(Guide):
    """Tells apart whatever differs."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return ((graph.choices() + 2) * 3.0 ** -torch.arange(graph.template.decisions)).sum(1) + 7.0 * row


@given(templates(), seeds, st.integers(0, 3))
def test_by_default_every_graph_that_might_come_is_looked_at(template: Template, seed: int, count: int) -> None:
    graph = partly_masked(toy(template), 5, seed)
    check_values(Digits(), graph, torch.tensor([4, 3, 0, 0, 1]), asked(graph, count))


def test_next_decisions_are_asked_in_one_call() -> None:
    class Counted(Digits):
        calls: list[int] = []  # noqa: RUF012

        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            self.calls.append(len(graph))
            return super().log_values(graph, row)

    graph = GraphBatch.undecided_batch(mixed().template, 4)
    Counted().values(graph, torch.arange(4), torch.tensor([[0, 4]] * 4))
    assert sorted(Counted.calls) == [4, 4 * (3 + 2)]


def test_scores_of_one_metric_and_of_a_group() -> None:
    predictor, source = stub()
    graph = partly_masked(mixed(), 6)
    mean, std = predictor.score(graph)
    for column, name in enumerate(METRICS):
        assert torch.equal(source.score(graph, name)[0], mean[:, column])
        assert torch.equal(source.score(graph, name)[1], std[:, column])
    averaged, std_of_group = source.score(graph, "accuracy@mine")
    assert torch.allclose(averaged, (mean[:, 0] + mean[:, 1]) / 2)
    # Two Gaussians of equal weight: their mean variance, and how far their means are apart.
    assert torch.allclose(std_of_group.square(), std[:, 0].square() + (mean[:, 0] - mean[:, 1]).square() / 4)


@given(templates(), seeds)
def test_scores_of_next_decisions_are_those_of_the_graphs_they_make(template: Template, seed: int) -> None:
    predictor, source = stub()
    graph = partly_masked(toy(template), 5, seed)
    decisions = asked(graph, 3)
    mean, std = source.scores(graph, decisions, "latency_ms@cpu")
    every = predictor.score_choices(graph, decisions)
    assert torch.equal(mean, every[0][..., 2])
    assert torch.equal(std, every[1][..., 2])
    assert torch.equal(mean[:, 0], source.score(graph, "latency_ms@cpu")[0])
    pair = predictor.score_choices(graph, decisions)[0][..., :2].mean(-1)
    assert torch.allclose(source.scores(graph, decisions, "accuracy@mine")[0], pair)


def test_every_graph_is_scored_once_for_all_guides() -> None:
    predictor, source = stub()
    graph = partly_masked(mixed(), 6)
    for name in METRICS:
        source.score(graph, name)
    source.score(graph[torch.tensor([0, 0, 3])], METRICS[0])
    assert source.scored == predictor.calls == len(graph.choices().unique(dim=0))
    # Other next decisions are another question; the same ones are not.
    decisions = asked(graph, 1)
    before = source.scored
    for name in METRICS:
        source.scores(graph, decisions, name)
        source.scores(graph, decisions.clone(), name)
    assert (
        source.scored == predictor.calls == before + len(torch.cat([graph.choices(), decisions], dim=1).unique(dim=0))
    )


def test_one_question_of_several_guides_is_looked_up_once() -> None:
    _, source = stub()
    lookups = []
    memo = source._memo
    source._memo = lambda graph, decisions: (lookups.append(len(graph)), memo(graph, decisions))[1]  # type: ignore[assignment]
    graph = partly_masked(mixed(), 6)
    decisions = asked(graph)
    for name in (*METRICS, "accuracy@mine"):
        source.scores(graph, decisions, name)
    assert lookups == [6]
    again = partly_masked(mixed(), 6, seed=1)
    assert not torch.equal(
        source.scores(again, decisions, METRICS[0])[0], source.scores(graph, decisions, METRICS[0])[0]
    )


def test_noise_of_a_group_is_that_of_its_parts() -> None:
    predictor, source = stub()
    predictor.noise = lambda: torch.tensor([0.1, 0.3, 0.5])  # type: ignore[method-assign]
    assert float(source.noise("accuracy@mine")) == pytest.approx(0.2)
    assert float(source.noise("latency_ms@cpu")) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "sign"), [("accuracy@cifar10", 1.0), ("latency_ms@cpu", -1.0), ("accuracy@mine", 1.0)]
)
def test_objective_guide_in_closed_form(name: str, sign: float) -> None:
    _, source = stub()
    graph, rows = partly_masked(mixed(), 6), torch.tensor([0, 1, 1, 0, 1, 0])
    weights = torch.tensor([0.75, 0.25])
    guide = ObjectiveGuide(source, Metric.parse(name), 3.0, weights)
    mean, std = source.score(graph, name)
    tilt = 3 * weights[rows]
    variance = (std.square() - 0.3**2).clamp_min(0) * graph.masked_decisions().any(1)
    assert torch.allclose(guide.log_values(graph, rows), tilt * sign * mean + tilt.square() * variance / 2)
    check_values(guide, graph, rows, asked(graph, 3))
    unweighted = ObjectiveGuide(source, Metric.parse(name), 3.0).log_values(graph, rows)
    assert torch.allclose(unweighted, 3 * sign * mean + 9 * variance / 2)


@given(templates(), seeds, st.floats(0.1, 6), st.sampled_from(["accuracy@mine", "latency_ms@cpu"]))
def test_next_decisions_are_worth_what_the_graphs_they_make_are(
    template: Template, seed: int, strength: float, name: str
) -> None:
    _, source = stub()
    graph, rows = partly_masked(toy(template), 5, seed), torch.arange(5)
    weights = torch.linspace(0, 1, 5)
    for guide in (
        ObjectiveGuide(source, Metric.parse(name), strength, weights),
        ObjectiveGuide(source, Metric.parse(name), strength, weights, of=torch.tanh),
        ConstraintGuide(source, Constraint(Metric.parse(name), "<=", 21.0)),
    ):
        check_values(guide, graph, rows, asked(graph, 3), atol=1e-3)


def test_whole_graphs_have_no_spread_and_neither_has_what_the_last_decision_makes() -> None:
    # Far more than the noise: what is left of it at a whole graph is ignorance, not possibility.
    _, source = stub(std=2.0, noise=0.1)
    template = mixed().template
    whole = GraphBatch.from_archs(list(mixed().enumerate())[:8], template)
    rows, metric = torch.arange(8), Metric.parse(METRICS[0])
    guide = ObjectiveGuide(source, metric, 2.0)
    assert torch.allclose(guide.log_values(whole, rows), 2 * source.score(whole, METRICS[0])[0])
    last = torch.zeros(8, template.decisions, dtype=torch.bool)
    last[:, 0] = True
    open_ = whole.with_mask(last)
    now, then = guide.values(open_, rows, torch.zeros(8, 1, dtype=torch.long))
    mean = source.scores(open_, torch.zeros(8, 1, dtype=torch.long), METRICS[0])[0]
    assert (now > 2 * mean[:, 0] + 4).all(), "one decision is open"
    assert torch.allclose(then[:, 0], 2 * mean[:, 1:])


def test_the_noise_of_decided_archs_is_not_rewarded() -> None:
    _, source = stub(std=0.2, noise=0.9)
    graph = partly_masked(mixed(), 6)
    guide = ObjectiveGuide(source, Metric.parse(METRICS[0]), 2.0)
    mean, std = source.score(graph, METRICS[0])
    small = std <= 0.9
    assert small.any()
    assert torch.allclose(guide.log_values(graph, torch.arange(6))[small], 2 * mean[small])


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0, 4.0])
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (-0.7, 0.4)])
def test_quadrature_of_a_straight_line_is_the_closed_form(strength: float, slope: float, shift: float) -> None:
    _, source = stub(noise=0.45)
    graph, rows = partly_masked(mixed(), 8), torch.arange(8)
    metric, weights = Metric.parse(METRICS[0]), torch.linspace(0.2, 1, 8)
    guide = ObjectiveGuide(source, metric, strength, weights, of=lambda z: slope * z + shift)
    mean, std = source.score(graph, METRICS[0])
    variance = (std.square() - 0.45**2).clamp_min(0) * graph.masked_decisions().any(1)
    tilt = strength * weights
    expected = tilt * (slope * mean + shift) + (tilt * slope).square() * variance / 2
    assert torch.allclose(guide.log_values(graph, rows), expected, rtol=1e-3, atol=1e-3)


def test_quadrature_of_a_curve() -> None:
    _, source = stub()
    graph, rows = partly_masked(mixed(), 8), torch.arange(8)
    guide = ObjectiveGuide(source, Metric.parse(METRICS[2]), 2.0, of=lambda z: -(z - 1).square() / 4)
    mean, std = (part.double().numpy() for part in source.score(graph, METRICS[2]))
    scale = np.sqrt(np.maximum(std**2 - 0.09, 0)) * graph.masked_decisions().any(1).numpy()
    # E exp(-(z - 1)^2 / 2) of z ~ N(mean, scale).
    expected = -np.log1p(scale**2) / 2 - (mean - 1) ** 2 / (1 + scale**2) / 2
    assert np.allclose(guide.log_values(graph, rows).numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("relation", ["<=", ">="])
@pytest.mark.parametrize("name", ["latency_ms@cpu", "accuracy@mine"])
def test_constraint_guide_in_closed_form(relation: str, name: str) -> None:
    _, source = stub()
    graph = partly_masked(mixed(), 6)
    bound = 21.5  # of a scale whose units are 2 * score + 20
    guide = ConstraintGuide(source, Constraint(Metric.parse(name), relation, bound))
    mean, std = (part.double().numpy() for part in source.score(graph, name))
    below = norm.logcdf((0.75 - mean) / std)
    above = norm.logsf((0.75 - mean) / std)
    expected = below if relation == "<=" else above
    assert np.allclose(guide.log_values(graph, NO_ROWS).numpy(), expected, atol=1e-4)
    check_values(guide, graph, torch.arange(6), asked(graph, 3))


@pytest.mark.parametrize(("text", "value"), [("<= 1000", 0.0), (">= 1000", -math.inf), ("<= 1", -math.inf)])
def test_bounds_beyond_everything_seen_are_sure(text: str, value: float) -> None:
    _, source = stub()
    guide = ConstraintGuide(source, Constraint.parse(f"latency_ms@cpu {text}"))
    assert guide.log_values(partly_masked(mixed(), 3), NO_ROWS).tolist() == [value] * 3


def test_strengths() -> None:
    _, source = stub()
    assert ObjectiveGuide(source, Metric.parse(METRICS[0]), 0.0).strength == 0
    assert ConstraintGuide(source, Constraint.parse("latency_ms@cpu <= 21")).strength == 1
