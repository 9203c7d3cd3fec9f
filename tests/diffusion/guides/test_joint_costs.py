"""Sums of terms of several slots agree with what all archs that are left cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from guide_checks import asked, check_values
from parts_spaces import Cells, DepthChain, Widths

from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel, CostObjectiveGuide
from gennas.diffusion.guides.joint_costs import GREATEST, LEAST, MEAN, VARIANCE, JointCosts
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.metrics import Constraint, Metric
from gennas.spaces import PartsSpace
from gennas.spaces.terms import CostTerm
from gennas.tasks import Task

TASK = Task("small", (3, 16, 16), 5)


def masked_archs(space: PartsSpace, count: int, seed: int) -> GraphBatch:
    rng = np.random.default_rng(seed)
    graph = GraphBatch.from_archs([space.sample(rng) for _ in range(count)], space.template)
    return graph.with_mask(graph.random_mask(torch.Generator().manual_seed(seed)))


def test_one_term_in_closed_form() -> None:
    template = Widths.template
    index = [template.vocabulary.index(word) for word in ("w4", "w6", "w8")]
    # In the other order in memory, which must make no difference.
    values, shares = np.array([[1, 4, 7], [2, 5, 8], [3, 6, 9.0]]).T, np.full((3, 3), 1 / 9)
    joint = JointCosts([CostTerm((1, 2), values, shares)], template)
    graph = GraphBatch.undecided_batch(template, 2)
    graph = graph.decide(torch.tensor([[0], [7]]), torch.tensor([[index[1]], [index[1]]]))
    sums = joint.sums(graph, torch.tensor([[1], [0]]), (MEAN, VARIANCE, LEAST, GREATEST))
    # The first has the second row left, the second everything.
    assert sums[MEAN][:, 0].tolist() == [5, 5]
    assert sums[VARIANCE][:, 0].tolist() == pytest.approx([2 / 3, 60 / 9])
    assert sums[LEAST][:, 0].tolist() == [4, 1]
    assert sums[GREATEST][:, 0].tolist() == [6, 9]
    assert sums[MEAN][0, 1:][index].tolist() == pytest.approx([4, 5, 6])
    assert sums[MEAN][1, 1:][index].tolist() == pytest.approx([2, 5, 8])


@pytest.mark.parametrize("space_class", [DepthChain, Cells])
def test_bounds_enclose_and_end_at_the_costs_of_what_is_left(space_class: type[PartsSpace]) -> None:
    space = space_class()
    costs = CostModel(space, TASK, Metric.parse("macs_m"))
    archs = list(space.enumerate())
    ops = GraphBatch.from_archs(archs, space.template).ops
    macs = torch.tensor([space.costs(arch, TASK)["macs_m"] for arch in archs], dtype=torch.double)
    none = torch.empty(1, 0, dtype=torch.long)
    for row in range(30):
        rng = np.random.default_rng(row)
        whole = GraphBatch.from_archs([space.sample(rng)], space.template)
        graph = masked_archs(space, 1, row) if row % 3 else whole
        left = macs[((ops == graph.ops) | (graph.ops == MASK)).all(1)]
        single = _single(costs, graph)
        least = costs.base + single[0] + costs.joint.sums(graph, none, (LEAST,)).item()
        greatest = costs.base + single[1] + costs.joint.sums(graph, none, (GREATEST,)).item()
        assert least <= left.min() + 1e-9
        assert greatest >= left.max() - 1e-9
        if graph is whole:
            assert least == pytest.approx(greatest) == pytest.approx(left.item())


def _single(costs: CostModel, graph: GraphBatch) -> tuple[float, float]:
    """The least and the greatest of the terms of one slot."""

    allowed = decisions_of(graph.template).allowed
    choices = graph.choices()[0]
    rows = [
        costs.table[d, allowed[d]] if c == MASK else costs.table[d, c][None] for d, c in enumerate(choices.tolist())
    ]
    return sum(float(row.min()) for row in rows), sum(float(row.max()) for row in rows)


@pytest.mark.parametrize("space_class", [DepthChain, Widths])
def test_guides_say_of_next_decisions_what_they_say_of_graphs(space_class: type[PartsSpace]) -> None:
    space = space_class()
    graph = masked_archs(space, 12, 0)
    costs = CostModel(space, TASK, Metric.parse("params_m"))
    middle = costs.base + costs.joint.undecided(MEAN)
    for guide in (
        CostObjectiveGuide(costs, 2.0),
        CostConstraintGuide(costs, Constraint.parse(f"params_m <= {middle}")),
        CostConstraintGuide(costs, Constraint.parse(f"params_m >= {middle}")),
    ):
        check_values(guide, graph, torch.arange(len(graph)), asked(graph))


@pytest.mark.parametrize("space_class", [DepthChain, Widths, Cells])
def test_costs_of_many_graphs_are_those_of_each(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(20)]
    for name in ("macs_m", "params_m"):
        costs = CostModel(space, TASK, Metric.parse(name))
        found = costs.of_graphs(GraphBatch.from_archs(archs, space.template))
        assert found.tolist() == pytest.approx([space.costs(arch, TASK)[name] for arch in archs], rel=1e-12)
        assert costs.scores_of(found).tolist() == pytest.approx(costs.scores(archs).tolist())
