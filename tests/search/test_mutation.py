"""Random archs and mutants: valid, new, one decision away, and all that are one decision away."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Twins, drawn

from gennas.arch import Arch
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.mutation import cost_feasibility, fresh_mutant, mutated, neighbours, random_archs
from gennas.spaces import Space, get_space
from gennas.tasks import get_task

SPACES = {name: get_space(name) for name in ("nasbench101", "nasbench201", "nasbench_graph")}
NB101, NB201 = SPACES["nasbench101"], SPACES["nasbench201"]
CELL = NB201.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
everything = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def differing(space: Space, one: Arch, other: Arch) -> int:
    """In how many slots and edges two archs differ as they are numbered."""
    (a, b), (c, d) = space.arrays([one]), space.arrays([other])
    return int((a != c).sum() + (b != d).sum())


@everything
@given(seed=st.integers(0, 10_000))
def test_mutants_are_valid_neighbours_in_the_space_s_numbering(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    archs = random_archs(space, 3, rng)
    for arch, child in zip(archs, mutated(space, archs, rng), strict=True):
        assert not space.problems(child)
        assert space.parse(child.key) == child
        assert space.canonicalised([child]) == [child]
        assert child == arch or child in neighbours(space, arch)


@everything
def test_neighbours_are_distinct_and_never_the_arch(space: Space) -> None:
    for arch in random_archs(space, 10, np.random.default_rng(1)):
        keys = [other.key for other in neighbours(space, arch)]
        assert len(set(keys)) == len(keys) > 0
        assert arch.key not in keys
        assert keys == [other.key for other in neighbours(space, arch)]


@everything
def test_mutants_reach_every_neighbour(space: Space) -> None:
    arch = random_archs(space, 1, np.random.default_rng(5))[0]
    children = {child.key for child in mutated(space, [arch] * 1500, np.random.default_rng(0))}
    assert children - {arch.key} == {other.key for other in neighbours(space, arch)}


def test_neighbours_of_a_cell_are_all_cells_with_one_other_operation() -> None:
    found = neighbours(NB201, CELL)
    assert len({arch.key for arch in found}) == 6 * 4
    assert {differing(NB201, CELL, arch) for arch in found} == {1}


def test_every_change_of_a_cell_is_as_likely_as_another() -> None:
    counts: dict[str, int] = {}
    for child in mutated(NB201, [CELL] * 4800, np.random.default_rng(0)):
        counts[child.key] = counts.get(child.key, 0) + 1
    # 200 of each are expected, with a standard deviation of 14.
    assert len(counts) == 24
    assert 140 < min(counts.values()) <= max(counts.values()) < 260


def test_vertices_come_and_go_with_their_edges() -> None:
    chain = NB101.parse("100/10/1 conv3x3-bn-relu,maxpool3x3")
    found = {other.key for other in neighbours(NB101, chain)}
    # Without its first or its second vertex nothing leads to the output: that takes two decisions.
    assert all(len(key.split()[0].split("/")) >= 3 for key in found)
    diamond = NB101.parse("110/01/1 conv3x3-bn-relu,maxpool3x3")
    shorter = {other.key for other in neighbours(NB101, diamond) if len(other.key.split()[0].split("/")) < 3}
    # Both vertices lie side by side: either can go.
    assert shorter == {"10/1 conv3x3-bn-relu", "10/1 maxpool3x3"}
    longer = {other.key for other in neighbours(NB101, diamond) if len(other.key.split()[0].split("/")) > 3}
    inserted = {
        NB101.canonicalised([grown])[0].key for grown in _grown(diamond.ops[1:3], {(0, 1), (0, 2), (1, 3), (2, 3)})
    }
    assert longer == inserted


def _grown(ops: tuple[str, ...], edges: set[tuple[int, int]]) -> list[Arch]:
    """A cell of two inner vertices with a third between any two of its vertices."""
    found = []
    for at in (1, 2, 3):
        moved = {(i + (i >= at), j + (j >= at)) for i, j in edges}
        before, after = range(at), range(at + 1, 5)
        for op, i, j in itertools.product(("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"), before, after):
            bits = moved | {(i, at), (at, j)}
            rows = "/".join("".join(str(int((a, b) in bits)) for b in range(a + 1, 5)) for a in range(4))
            found.append(NB101.parse(f"{rows} {','.join([*ops[: at - 1], op, *ops[at - 1 :]])}"))
    return found


def test_mutation_leads_from_every_size_of_cell_to_every_other() -> None:
    rng, arch, sizes = np.random.default_rng(0), NB101.parse("1"), set()
    for _ in range(400):
        (arch,) = mutated(NB101, [arch], rng)
        sizes.add(arch.ops.count("absent"))
    assert sizes == {0, 1, 2, 3, 4} or sizes == {0, 1, 2, 3, 4, 5}


def test_nothing_to_mutate_is_no_error() -> None:
    assert mutated(NB201, [], np.random.default_rng(0)) == []


@everything
def test_random_archs_are_distinct_new_and_reproducible(space: Space) -> None:
    known = {arch.key for arch in drawn(space, 50)}
    archs = random_archs(space, 60, np.random.default_rng(0), without=known)
    keys = {arch.key for arch in archs}
    assert len(keys) == 60
    assert not keys & known
    assert archs == random_archs(space, 60, np.random.default_rng(0), without=known)
    assert archs != random_archs(space, 60, np.random.default_rng(1), without=known)


def test_random_archs_find_the_last_ones() -> None:
    space = Twins()
    keys = [arch.key for arch in space.enumerate()]
    last = {keys[3], keys[20], keys[35]}
    archs = random_archs(space, 10, np.random.default_rng(0), without=set(keys) - last)
    assert {arch.key for arch in archs} == last
    two = random_archs(space, 2, np.random.default_rng(0), without=set(keys) - last)
    assert len({arch.key for arch in two} & last) == 2


def test_bounds_on_costs_hold() -> None:
    task = get_task("cifar10")
    where = (Constraint.parse("params_m <= 0.3"), Constraint.parse("accuracy@cifar10 >= 0.9"))
    is_feasible = cost_feasibility(Problem(NB201, task, Objective.parse("accuracy@cifar10"), where))
    archs = random_archs(NB201, 40, np.random.default_rng(0), is_feasible=is_feasible)
    assert len(archs) == 40
    assert max(NB201.costs(arch, task)["params_m"] for arch in archs) <= 0.3
    assert not is_feasible(
        NB201.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|")
    )


def test_what_hardly_any_arch_fits_is_found_nevertheless() -> None:
    space = Twins()
    only = list(space.enumerate())[11]
    assert random_archs(space, 5, np.random.default_rng(0), is_feasible=lambda arch: arch == only) == [only]


def test_fresh_mutants_leave_exhausted_surroundings() -> None:
    known = {CELL.key, *(arch.key for arch in neighbours(NB201, CELL))}
    child = fresh_mutant(NB201, CELL, np.random.default_rng(0), known, lambda arch: True)
    assert child is not None
    assert child.key not in known
    assert fresh_mutant(NB201, CELL, np.random.default_rng(0), known, lambda arch: False) is None
