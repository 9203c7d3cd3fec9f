"""Decisions: a row of choices for every arch, and back."""

from __future__ import annotations

import numpy as np
import pytest
from parts_spaces import DepthChain
from toys import Twins

from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.mutation import random_archs
from gennas.search.policies.decisions import Decisions
from gennas.spaces import Space, get_space
from gennas.spaces.subset import Subset
from gennas.tasks import get_task


def test_rows_of_a_known_cell() -> None:
    space = get_space("nasbench201")
    decisions = Decisions(space)
    arch = space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
    (row,) = decisions.of([arch])
    # One free slot for each of the six edges of a cell, five operations, no free edge.
    assert decisions.sizes.tolist() == [5] * 6
    chosen = {name: space.template.operations[slot][choice] for name, slot, choice in zip(
        decisions.names, space.template.free_slots, row, strict=True)}  # fmt: skip
    assert [op for slot, op in zip(space.template.slots, arch.ops, strict=True) if slot in chosen] == list(
        chosen.values()
    )
    assert decisions.arch(row.tolist()) == arch


@pytest.mark.parametrize(
    "space", [Twins(), DepthChain(), *map(get_space, ("nasbench101", "nasbench201", "nasbench_graph"))]
)
def test_back_and_forth(space: Space) -> None:
    decisions, archs = Decisions(space), random_archs(space, 20, np.random.default_rng(0))
    rows = decisions.of(archs)
    assert rows.shape == (20, len(decisions.names)) == (20, space.template.decisions)
    assert (rows < decisions.sizes).all()
    assert (rows >= 0).all()
    assert [decisions.arch(row) for row in rows.tolist()] == archs


def test_what_breaks_a_rule_is_no_arch() -> None:
    space = get_space("nasbench101")
    decisions = Decisions(space)
    # All 21 edges are present, and nine are allowed.
    assert decisions.arch([0] * 5 + [1] * 21) is None


def test_what_an_absent_block_would_be_makes_no_difference() -> None:
    space = DepthChain()
    decisions, rng = Decisions(space), np.random.default_rng(0)
    for _ in range(50):
        arch = decisions.arch([int(rng.integers(size)) for size in decisions.sizes])
        assert arch is not None
        assert not space.problems(arch)


def test_of_a_table_the_nearest_new_arch_stands_for_a_draw() -> None:
    space, task = get_space("nasbench201"), get_task("cifar10")
    words = ["nor_conv_3x3~0|+|none~0|skip_connect~1", "nor_conv_3x3~0|+|none~0|none~1", "none~0|+|none~0|none~1"]
    rows = [space.parse(f"|{word}|+|none~0|none~1|none~2|") for word in words]
    problem = Problem(space, task, "accuracy", among=Subset(space, rows))
    decisions, nothing = Decisions(space), History.nothing(problem, "archs")
    drawn = space.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|none~1|none~2|")
    (row,) = decisions.of([drawn]).tolist()
    # One, two and three decisions away.
    assert decisions.proposable(row, problem, nothing, []) == rows[0]
    assert decisions.proposable(row, problem, nothing, rows[:1]) == rows[1]
    assert decisions.proposable(row, problem, nothing, rows) is None
    # A row of the table is itself, or nothing.
    assert decisions.proposable(decisions.of(rows[2:])[0].tolist(), problem, nothing, rows[2:]) is None
    free = Problem(space, task, "accuracy")
    assert decisions.proposable(row, free, nothing, []) == drawn
    assert decisions.proposable(row, free, nothing, [drawn]) is None
