"""Guides: bounds that can be kept are kept, and log-values equal what brute force gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from toys import StubPredictor, completions, mixed, partly_masked, templates, toy, uniform_log_probs

from gennas.diffusion.guidance import (
    ConstraintGuide,
    CostConstraintGuide,
    CostObjectiveGuide,
    ObjectiveGuide,
    ScoreSource,
    SlotCosts,
)
from gennas.diffusion.sampler import sample
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.spaces import Space, get_space
from gennas.spaces.base import Template
from gennas.tasks import get_task

PARAMS = Metric.parse("params_m")
TASK = get_task("cifar10")
NB201 = get_space("nasbench201")
NO_ROWS = torch.empty(0, dtype=torch.long)
seeds = st.integers(0, 2**31)


def cost_of(space: Space, graph: GraphBatch) -> list[float]:
    return [space.costs(arch, TASK)["params_m"] for arch in graph.to_archs(space)]


@pytest.mark.parametrize("task", ["cifar10", "imagenet16-120"])
@pytest.mark.parametrize("metric", ["params_m", "macs_m"])
def test_the_range_of_a_cost_is_that_of_all_cells(task: str, metric: str) -> None:
    base, table = NB201.slot_costs(get_task(task))[metric]
    choices = GraphBatch.from_archs(list(NB201.enumerate()), NB201.template).ops.numpy()
    costs = base + table[np.arange(choices.shape[1]), choices].sum(1)
    least, greatest = SlotCosts(NB201, get_task(task), Metric.parse(metric)).range()
    assert least == pytest.approx(costs.min(), rel=1e-12)
    assert greatest == pytest.approx(costs.max(), rel=1e-12)


@given(templates(slots=3), seeds)
def test_range_and_moments_on_random_templates(template: Template, seed: int) -> None:
    space = toy(template)
    costs = SlotCosts(space, TASK, PARAMS)
    every = [cost for arch in space.enumerate() for cost in [space.costs(arch, TASK)["params_m"]]]
    assert costs.range() == (min(every), max(every))
    mean, variance = costs.moments()
    # Edges have no cost and are free in all combinations, so that every operation is equally frequent.
    assert costs.base + float(mean.sum()) == pytest.approx(np.mean(every))
    assert float(variance.sum()) == pytest.approx(np.var(every))


@settings(max_examples=25)
@given(templates(slots=3), seeds, st.sampled_from(["<=", ">="]), st.floats(0, 1))
def test_a_cost_bound_that_can_be_kept_is_kept(template: Template, seed: int, relation: str, share: float) -> None:
    space = toy(template)
    costs = SlotCosts(space, TASK, PARAMS)
    every = sorted({space.costs(arch, TASK)["params_m"] for arch in space.enumerate()})
    bound = every[round(share * (len(every) - 1))]
    guide = CostConstraintGuide(costs, Constraint(PARAMS, relation, bound))
    start = GraphBatch.undecided_batch(template, 20)
    graph = sample(uniform_log_probs, start, torch.Generator().manual_seed(seed), [guide], corrections=3)
    assert all(guide_holds(cost, relation, bound) for cost in cost_of(space, graph))


def guide_holds(value: float, relation: str, bound: float) -> bool:
    return value <= bound + 1e-9 if relation == "<=" else value >= bound - 1e-9


@given(templates(slots=3), seeds, st.sampled_from(["<=", ">="]))
def test_what_no_completion_can_keep_is_forbidden_and_nothing_else(
    template: Template, seed: int, relation: str
) -> None:
    space = toy(template)
    graph = partly_masked(space, 4, seed)
    every = [space.costs(arch, TASK)["params_m"] for arch in space.enumerate()]
    constraint = Constraint(PARAMS, relation, float(np.median(every)))
    values = CostConstraintGuide(SlotCosts(space, TASK, PARAMS), constraint).log_values(graph, NO_ROWS)
    for row, value in enumerate(values.tolist()):
        whole = completions(graph[torch.tensor([row])], space)
        kept = [guide_holds(space.costs(arch, TASK)["params_m"], relation, constraint.bound) for arch in whole]
        assert (value > -math.inf) == any(kept)
        assert value <= 0
        if len({space.costs(arch, TASK)["params_m"] for arch in whole}) == 1 and any(kept):
            assert value == 0, "a cost that is certain and within the bound costs nothing"


@pytest.mark.parametrize("bound", ["params_m <= 0.07331", "params_m <= 0.35", "params_m >= 1.53", "macs_m <= 60"])
def test_cost_bounds_of_nasbench201_hold_on_everything(bound: str) -> None:
    constraint = Constraint.parse(bound)
    guide = CostConstraintGuide(SlotCosts(NB201, TASK, constraint.metric), constraint)
    start = GraphBatch.undecided_batch(NB201.template, 200)
    graph = sample(uniform_log_probs, start, torch.Generator().manual_seed(0), [guide])
    name = constraint.metric.kind.name
    assert all(constraint.holds(NB201.costs(arch, TASK)[name]) for arch in graph.to_archs(NB201))


@settings(max_examples=12)
@given(templates(slots=3), seeds, st.floats(0.1, 4))
def test_the_tilt_towards_low_cost_is_exact(template: Template, seed: int, strength: float) -> None:
    space = toy(template)
    costs = SlotCosts(space, TASK, PARAMS)
    every = np.array([space.costs(arch, TASK)["params_m"] for arch in space.enumerate()])
    if every.std() == 0:
        return
    graph = partly_masked(space, 4, seed)
    weights = torch.tensor([1.0, 0.5, 0.25])
    rows = torch.tensor([0, 1, 2, 0])
    values = CostObjectiveGuide(costs, strength, weights).log_values(graph, rows)
    for row in range(4):
        whole = completions(graph[torch.tensor([row])], space)
        f = np.array([-(space.costs(arch, TASK)["params_m"] - every.mean()) / every.std() for arch in whole])
        expected = np.log(np.mean(np.exp(strength * float(weights[rows[row]]) * f)))
        assert float(values[row]) == pytest.approx(expected, abs=1e-4)


METRICS = ("accuracy@cifar10", "accuracy@cifar100", "latency_ms@cpu")


def stub() -> tuple[StubPredictor, ScoreSource]:
    predictor = StubPredictor(METRICS)
    groups = {name: (name,) for name in METRICS} | {"accuracy@mine": METRICS[:2]}
    return predictor, ScoreSource(predictor, groups)


def test_scores_of_one_metric_and_of_a_group() -> None:
    predictor, source = stub()
    graph = partly_masked(mixed(), 6)
    mean, std = predictor.score(graph)
    for column, name in enumerate(METRICS):
        assert torch.equal(source.score(graph, name)[0], mean[:, column])
        assert torch.equal(source.score(graph, name)[1], std[:, column])
    averaged, spread = source.score(graph, "accuracy@mine")
    assert torch.allclose(averaged, (mean[:, 0] + mean[:, 1]) / 2)
    # Two Gaussians of equal weight: their mean variance, and how far their means are apart.
    assert torch.allclose(spread.square(), std[:, 0].square() + (mean[:, 0] - mean[:, 1]).square() / 4)


def test_every_graph_is_scored_once_for_all_guides() -> None:
    predictor, source = stub()
    graph = partly_masked(mixed(), 6)
    for name in METRICS:
        source.score(graph, name)
    source.score(graph[torch.tensor([0, 0, 3])], METRICS[0])
    assert predictor.calls == len(graph.choices().unique(dim=0))


@pytest.mark.parametrize(
    ("name", "sign"), [("accuracy@cifar10", 1.0), ("latency_ms@cpu", -1.0), ("accuracy@mine", 1.0)]
)
def test_objective_guide_in_closed_form(name: str, sign: float) -> None:
    _, source = stub()
    graph, rows = partly_masked(mixed(), 6), torch.tensor([0, 1, 1, 0, 1, 0])
    weights = torch.tensor([0.75, 0.25])
    values = ObjectiveGuide(source, Metric.parse(name), 3.0, weights).log_values(graph, rows)
    mean, std = source.score(graph, name)
    tilt = 3 * weights[rows]
    spread = (std.square() - 0.3**2).clamp_min(0)
    assert torch.allclose(values, tilt * sign * mean + tilt.square() * spread / 2)


def test_the_noise_of_decided_archs_is_not_rewarded() -> None:
    predictor = StubPredictor(METRICS, std=0.2, noise=0.3)
    source = ScoreSource(predictor, {name: (name,) for name in METRICS})
    whole = partly_masked(mixed(), 2)[torch.tensor([0])]
    value = ObjectiveGuide(source, Metric.parse(METRICS[0]), 2.0, torch.ones(1)).log_values(whole, torch.tensor([0]))
    assert torch.allclose(value, 2 * source.score(whole, METRICS[0])[0])


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


@pytest.mark.parametrize(("text", "value"), [("<= 1000", 0.0), (">= 1000", -math.inf), ("<= 1", -math.inf)])
def test_bounds_beyond_everything_seen_are_sure(text: str, value: float) -> None:
    _, source = stub()
    guide = ConstraintGuide(source, Constraint.parse(f"latency_ms@cpu {text}"))
    assert guide.log_values(partly_masked(mixed(), 3), NO_ROWS).tolist() == [value] * 3


def test_the_tilt_towards_low_cost_where_all_cost_the_same() -> None:
    class Flat(type(mixed())):  # type: ignore[misc]
        def slot_costs(self, task: object) -> dict[str, tuple[float, np.ndarray]]:
            return {"params_m": (1.0, np.zeros(self.template.allowed.shape))}

    guide = CostObjectiveGuide(SlotCosts(Flat(), TASK, PARAMS), 2.0, torch.ones(4))
    assert torch.equal(guide.log_values(partly_masked(mixed(), 4), torch.arange(4)), torch.zeros(4))
