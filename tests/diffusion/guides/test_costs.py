"""Costs that are computed: sums over decisions, what bounds forbid, and the tilt towards low costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from guide_checks import asked, check_values
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import completions, drawn, knotty, mixed, partly_masked, templates, toy, uniform_log_probs

from gennas.arch import Arch, PartialArch
from gennas.diffusion.guides import costs as module
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel, CostObjectiveGuide, sums
from gennas.diffusion.sampler import SamplerConfig, sample
from gennas.graph import GraphBatch, decisions_of
from gennas.metrics import Constraint, Metric, Objective
from gennas.spaces import Space, get_space
from gennas.spaces.template import Template
from gennas.tasks import get_task

PARAMS = Metric.parse("params_m")
TASK = get_task("cifar10")
NB201 = get_space("nasbench201")
seeds = st.integers(0, 2**31)
relations = st.sampled_from(["<=", ">="])


def cost(space: Space, arch: Arch) -> float:
    return space.costs(arch, TASK)["params_m"]


def costs_of(space: Space, graph: GraphBatch) -> list[float]:
    return [cost(space, arch) for arch in graph.to_archs(space) if arch is not None]


def holds(value: float, relation: str, bound: float) -> bool:
    return value <= bound + 1e-9 if relation == "<=" else value >= bound - 1e-9


@pytest.fixture
def few_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FITTED_ARCHS", 400)


@pytest.mark.parametrize("task", ["cifar10", "imagenet16-120"])
@pytest.mark.parametrize("metric", ["params_m", "macs_m"])
def test_the_range_of_a_cost_is_that_of_all_cells(task: str, metric: str) -> None:
    base, table = NB201.slot_costs(get_task(task))[metric]
    choices = GraphBatch.from_archs(list(NB201.enumerate()), NB201.template).ops.numpy()
    costs = base + table[np.arange(choices.shape[1]), choices].sum(1)
    least, greatest = CostModel(NB201, get_task(task), Metric.parse(metric)).range()
    assert least == pytest.approx(costs.min(), rel=1e-12)
    assert greatest == pytest.approx(costs.max(), rel=1e-12)


@given(templates(slots=3), seeds)
def test_range_and_moments_on_random_templates(template: Template, seed: int) -> None:
    space = toy(template)
    costs = CostModel(space, TASK, PARAMS)
    every = [cost(space, arch) for arch in space.enumerate()]
    assert costs.residual == 0
    assert costs.range() == pytest.approx((min(every), max(every)), rel=1e-12)
    mean, variance = costs.moments()
    # Edges have no cost and are free in all combinations, so that every operation is equally frequent.
    assert costs.base + float(mean.sum()) == pytest.approx(np.mean(every))
    assert float(variance.sum()) == pytest.approx(np.var(every))


@given(templates(slots=3), seeds)
def test_the_range_of_what_completes_a_partial_arch(template: Template, seed: int) -> None:
    space = toy(template)
    (arch,) = drawn(space, 1, seed)
    made = np.random.default_rng(seed).random(len(arch.ops)) < 0.5
    ops = tuple(op if fixed else None for op, fixed in zip(arch.ops, made, strict=True))
    partial = PartialArch(space.name, ops, template.fixed_edges, template.free_edges)
    every = [
        cost(space, other)
        for other in space.enumerate()
        if all(op in (None, own) for op, own in zip(ops, other.ops, strict=True))
    ]
    assert CostModel(space, TASK, PARAMS).range(partial) == pytest.approx((min(every), max(every)), rel=1e-12)


@given(templates(), seeds, st.sampled_from(["params_m", "macs_m"]))
def test_sums_of_whole_graphs_are_their_costs(template: Template, seed: int, name: str) -> None:
    space = toy(template)
    archs = drawn(space, 6, seed)
    costs = CostModel(space, TASK, Metric.parse(name))
    graph = GraphBatch.from_archs(archs, template)
    none = torch.empty(6, 0, dtype=torch.long)
    added = sums(graph, none, costs.table, costs.moments()[0])[:, 0]
    expected = [space.costs(arch, TASK)[name] for arch in archs]
    assert (costs.base + added).tolist() == pytest.approx(expected, rel=1e-12)
    assert [costs.of(arch) for arch in archs] == expected


@given(templates(slots=3), seeds)
def test_sums_of_masked_graphs_are_the_mean_of_their_completions(template: Template, seed: int) -> None:
    space = toy(template)
    graph = partly_masked(space, 4, seed)
    costs = CostModel(space, TASK, PARAMS)
    decisions = asked(graph, 2)
    values = costs.base + sums(graph, decisions, costs.table, costs.moments()[0])
    c = decisions_of(template).allowed.shape[1]
    assert values.shape == (4, 1 + decisions.shape[1] * c)
    for row in range(4):
        one = graph[torch.tensor([row])]
        assert float(values[row, 0]) == pytest.approx(np.mean([cost(space, a) for a in completions(one, space)]))
        for column, decision in enumerate(decisions[row].tolist()):
            if not one.masked_decisions()[0, decision]:
                continue
            for choice in decisions_of(template).allowed[decision].nonzero().flatten().tolist():
                made = one.decide(torch.tensor([[decision]]), torch.tensor([[choice]]))
                mean = np.mean([cost(space, arch) for arch in completions(made, space)])
                assert float(values[row, 1 + column * c + choice]) == pytest.approx(mean)


def test_sums_with_a_table_for_every_graph() -> None:
    graph = partly_masked(mixed(), 5)
    decisions = asked(graph, 2)
    c = decisions_of(graph.template).allowed.shape[1]
    table, masked = torch.randn(5, graph.template.decisions, c), torch.randn(5, graph.template.decisions)
    together = sums(graph, decisions, table, masked)
    for row in range(5):
        at = torch.tensor([row])
        assert torch.allclose(together[at], sums(graph[at], decisions[at], table[row], masked[row]), atol=1e-6)


@settings(max_examples=25)
@given(templates(slots=3), seeds, relations, st.floats(0, 1), st.sampled_from([1, 2, 32]))
def test_a_cost_bound_that_can_be_kept_is_kept(
    template: Template, seed: int, relation: str, share: float, steps: int
) -> None:
    space = toy(template)
    costs = CostModel(space, TASK, PARAMS)
    every = sorted({cost(space, arch) for arch in space.enumerate()})
    bound = every[round(share * (len(every) - 1))]
    guide = CostConstraintGuide(costs, Constraint(PARAMS, relation, bound))
    start = GraphBatch.undecided_batch(template, 64)
    # Decisions made at once do not see each other: there the particles must find what keeps the bound.
    particles = 1 if steps == 32 else 32
    sampling = SamplerConfig(steps=steps, particles=particles, corrections=3)
    graph = sample(uniform_log_probs, start, torch.Generator().manual_seed(seed), [guide], sampling).graph
    kept = [holds(value, relation, bound) for value in costs_of(space, graph)]
    assert all(kept) if steps == 32 else len(kept) == 64


@given(templates(slots=3), seeds, relations)
def test_what_no_completion_can_keep_is_forbidden_and_nothing_else(
    template: Template, seed: int, relation: str
) -> None:
    space = toy(template)
    graph = partly_masked(space, 4, seed)
    every = [cost(space, arch) for arch in space.enumerate()]
    constraint = Constraint(PARAMS, relation, float(np.median(every)))
    guide = CostConstraintGuide(CostModel(space, TASK, PARAMS), constraint)
    decisions = asked(graph, 2)
    now, then = guide.values(graph, torch.arange(4), decisions)

    def check(value: float, one: GraphBatch) -> None:
        costs = [cost(space, arch) for arch in completions(one, space)]
        kept = [holds(value, relation, constraint.bound) for value in costs]
        assert (value > -math.inf) == any(kept)
        assert value <= 0
        if len(set(costs)) == 1 and any(kept):
            assert value == 0, "a cost that is certain and within the bound costs nothing"

    for row in range(4):
        one = graph[torch.tensor([row])]
        check(float(now[row]), one)
        for column, decision in enumerate(decisions[row].tolist()):
            if not one.masked_decisions()[0, decision]:
                continue
            for choice in decisions_of(template).allowed[decision].nonzero().flatten().tolist():
                made = one.decide(torch.tensor([[decision]]), torch.tensor([[choice]]))
                check(float(then[row, column, choice]), made)


@given(templates(slots=4), seeds, relations, st.floats(0.5, 4))
def test_next_decisions_are_worth_what_the_graphs_they_make_are(
    template: Template, seed: int, relation: str, strength: float
) -> None:
    space = toy(template)
    graph, rows = partly_masked(space, 5, seed), torch.arange(5)
    costs = CostModel(space, TASK, PARAMS)
    bound = Constraint(PARAMS, relation, float(np.mean(costs.range())) + 0.1)
    for guide in (
        CostConstraintGuide(costs, bound),
        CostObjectiveGuide(costs, strength),
        CostObjectiveGuide(costs, strength, torch.linspace(0, 1, 5)),
    ):
        check_values(guide, graph, rows, asked(graph, 3), atol=1e-3)


@pytest.mark.parametrize("bound", ["params_m <= 0.07331", "params_m <= 0.35", "params_m >= 1.53", "macs_m <= 60"])
def test_cost_bounds_of_nasbench201_hold_on_everything(bound: str) -> None:
    constraint = Constraint.parse(bound)
    guide = CostConstraintGuide(CostModel(NB201, TASK, constraint.metric), constraint)
    start = GraphBatch.undecided_batch(NB201.template, 192)
    name = constraint.metric.kind.name
    for sampling in (SamplerConfig(), SamplerConfig(particles=1)):
        graph = sample(uniform_log_probs, start, torch.Generator().manual_seed(0), [guide], sampling).graph
        assert all(constraint.holds(NB201.costs(arch, TASK)[name]) for arch in graph.to_archs(NB201))


@settings(max_examples=12)
@given(templates(slots=3), seeds, st.floats(0.1, 4), st.sampled_from(["-params_m", "+params_m"]))
def test_the_tilt_towards_low_or_high_cost_is_exact(
    template: Template, seed: int, strength: float, objective: str
) -> None:
    space = toy(template)
    costs, sign = CostModel(space, TASK, Objective.parse(objective).metrics[0]), float(f"{objective[0]}1")
    every = np.array([cost(space, arch) for arch in space.enumerate()])
    if every.std() == 0:
        return
    graph = partly_masked(space, 4, seed)
    weights = torch.tensor([1.0, 0.5, 0.25])
    rows = torch.tensor([0, 1, 2, 0])
    values = CostObjectiveGuide(costs, strength, weights).log_values(graph, rows)
    unweighted = CostObjectiveGuide(costs, strength).log_values(graph, rows)
    for row in range(4):
        whole = completions(graph[torch.tensor([row])], space)
        f = np.array([sign * (cost(space, arch) - every.mean()) / every.std() for arch in whole])
        assert costs.scores(whole).numpy() == pytest.approx(f, abs=1e-6)
        for found, weight in ((values, float(weights[rows[row]])), (unweighted, 1.0)):
            expected = np.log(np.mean(np.exp(strength * weight * f)))
            assert float(found[row]) == pytest.approx(expected, abs=1e-4)


def test_the_tilt_towards_low_cost_where_all_cost_the_same() -> None:
    class Flat(type(mixed())):  # type: ignore[misc]
        def slot_costs(self, task: object) -> dict[str, tuple[float, np.ndarray]]:
            return {"params_m": (1.0, np.zeros(self.template.allowed.shape))}

    guide = CostObjectiveGuide(CostModel(Flat(), TASK, PARAMS), 2.0, torch.ones(4))
    values = guide.log_values(partly_masked(mixed(), 4), torch.arange(4))
    assert torch.allclose(values, torch.zeros(4), atol=1e-6)


def test_costs_that_are_sums_are_never_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CostModel, "_fit", lambda *args: pytest.fail("the table is exact"))
    assert CostModel(mixed(), TASK, PARAMS).residual == 0


@settings(max_examples=10)
@given(templates(slots=3), seeds)
def test_what_is_a_sum_of_logarithms_is_fitted_without_a_residual(template: Template, seed: int) -> None:
    class Unsaid(type(toy(template))):  # type: ignore[misc]
        def slot_costs(self, task: object) -> None:
            return None

        def costs(self, arch: Arch, task: object) -> dict[str, float]:
            return {name: math.exp(value / 10) for name, value in toy(template).costs(arch, task).items()}

    space = Unsaid()
    exact = CostModel(toy(template), TASK, PARAMS)
    fitted = CostModel(space, TASK, PARAMS)
    archs = drawn(space, 6, seed)
    graph = GraphBatch.from_archs(archs, template)
    none = torch.empty(6, 0, dtype=torch.long)
    added = sums(graph, none, fitted.table, fitted.moments()[0])[:, 0]
    assert (fitted.base + added).tolist() == pytest.approx([math.log(cost(space, arch)) for arch in archs], abs=1e-6)
    assert fitted.residual == pytest.approx(0, abs=1e-6)
    drawn_frequency = fitted.frequency[exact.frequency > 0]
    assert torch.allclose(drawn_frequency, exact.frequency[exact.frequency > 0], atol=0.08)
    assert (fitted.frequency[exact.frequency == 0] == 0).all()


def test_what_is_no_sum_is_fitted_with_a_residual_and_without_a_bias() -> None:
    space = knotty(mixed().template)
    costs = CostModel(space, TASK, PARAMS)
    archs = list(space.enumerate())
    graph = GraphBatch.from_archs(archs, space.template)
    none = torch.empty(len(archs), 0, dtype=torch.long)
    predicted = (costs.base + sums(graph, none, costs.table, costs.moments()[0])[:, 0]).numpy()
    exact = np.array([cost(space, arch) for arch in archs])
    truth = np.log(exact)
    error = truth - predicted
    assert costs.residual > 0.1 * truth.std()
    assert costs.residual == pytest.approx(error.std(), rel=0.1)
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert np.corrcoef(predicted, truth)[0, 1] > 0.8
    assert costs.range() is None, "what is fitted has no sure bounds"
    assert [costs.of(arch) for arch in archs] == exact.tolist()
    # Over a decision's choices, too, nothing is left that a sum could tell.
    for decision in range(space.template.decisions):
        for choice in graph.choices()[:, decision].unique():
            at = (graph.choices()[:, decision] == choice).numpy()
            assert error[at].mean() == pytest.approx(0, abs=0.1 * truth.std())


@pytest.mark.usefixtures("few_archs")
@pytest.mark.parametrize("relation", ["<=", ">="])
def test_bounds_on_a_fitted_cost_bend_and_forbid_nothing(relation: str) -> None:
    space = knotty(mixed().template)
    costs = CostModel(space, TASK, PARAMS)
    every = [cost(space, arch) for arch in space.enumerate()]
    bound = float(np.quantile(every, 0.3 if relation == "<=" else 0.7))
    guide = CostConstraintGuide(costs, Constraint(PARAMS, relation, bound))
    graph = partly_masked(space, 20)
    assert (guide.log_values(graph, torch.arange(20)) > -math.inf).all()
    check_values(guide, graph, torch.arange(20), asked(graph, 3))
    start = GraphBatch.undecided_batch(space.template, 640)
    guided = sample(uniform_log_probs, start, torch.Generator().manual_seed(0), [guide]).graph
    share = np.mean([holds(value, relation, bound) for value in costs_of(space, guided)])
    assert share > np.mean([holds(value, relation, bound) for value in every]) + 0.3


@pytest.mark.usefixtures("few_archs")
def test_the_tilt_towards_a_low_fitted_cost() -> None:
    space = knotty(mixed().template)
    guide = CostObjectiveGuide(CostModel(space, TASK, PARAMS), 2.0)
    graph = partly_masked(space, 6)
    check_values(guide, graph, torch.arange(6), asked(graph, 3))
    start = GraphBatch.undecided_batch(space.template, 640)
    low = sample(uniform_log_probs, start, torch.Generator().manual_seed(0), [guide]).graph
    every = [cost(space, arch) for arch in space.enumerate()]
    assert np.mean(costs_of(space, low)) < np.mean(every) - np.std(every)
