"""The seeker finds the best archs of spaces that are known, within its bounds, and asks for nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from parts_spaces import DepthChain, Ops
from torch import Tensor

from gennas.checkpoint import generator_for
from gennas.diffusion.seeker import Seeker, SeekerConfig
from gennas.diffusion.uniform import UniformGenerator
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch
from gennas.spaces import PartsSpace, Space, get_space

CONFIG = SeekerConfig(batch=20, first=40, parents=10)


def value_of(space: Space, seed: int = 0) -> Callable[[GraphBatch], Tensor]:
    """A value with contributions of single decisions and of pairs of neighbours."""
    rng = torch.Generator().manual_seed(seed)
    k, d = len(space.template.vocabulary), space.template.decisions
    single, pair = torch.randn(d, k, generator=rng), torch.randn(d, k, k, generator=rng)

    def value(graph: GraphBatch) -> Tensor:
        choices = graph.choices()
        row = torch.arange(d)
        pairs = pair[row[1:], choices[:, :-1], choices[:, 1:]].sum(1)
        return (single[row, choices].sum(1) + 0.5 * pairs).double()

    return value


class Asked:
    """A worth that remembers what it was asked."""

    def __init__(
        self, value: Callable[[GraphBatch], Tensor], margin: Callable[[GraphBatch], Tensor] | None = None
    ) -> None:
        self.value, self.margin = value, margin
        self.rows: list[tuple[int, ...]] = []

    def __call__(self, graph: GraphBatch) -> Worth:
        self.rows += map(tuple, graph.choices().tolist())
        values = self.value(graph)
        return Worth(values[:, None], values[:, None][:, :0] if self.margin is None else self.margin(graph)[:, None])


def everything(graph: GraphBatch) -> Tensor:
    return torch.ones(len(graph), dtype=torch.bool)


def all_of(space: PartsSpace) -> GraphBatch:
    return GraphBatch.from_archs(list(space.enumerate()), space.template)


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_best_arch_with_few_evaluations(seed: int) -> None:
    space = Ops()
    value, asked = value_of(space, seed), Asked(value_of(space, seed))
    seeker = Seeker(generator_for(space, None), asked, everything, rng_of(seed), config=CONFIG)
    seeker.run(600)
    assert seeker.evaluated == len(asked.rows) == 600  # of 6,561
    assert seeker.worths.scores.max() == pytest.approx(value(all_of(space)).max())
    assert len(set(asked.rows)) == len(asked.rows)
    assert torch.equal(seeker.worths.scores[:, 0], value(GraphBatch.from_choices(seeker.choices, space.template)))


def test_rules_and_what_may_not_be_evaluated_are_kept() -> None:
    space = DepthChain()
    value, asked = value_of(space), Asked(value_of(space))
    threshold = value(all_of(space)).quantile(0.7)

    def keeps(graph: GraphBatch) -> Tensor:
        return value(graph) <= threshold

    seeker = Seeker(generator_for(space, None), asked, keeps, rng_of(0), config=CONFIG)
    seeker.run(100)
    graph = GraphBatch.from_choices(seeker.choices, space.template)
    assert keeps(graph).all()
    assert all(arch is not None for arch in graph.to_archs(space))
    allowed = value(all_of(space))
    assert seeker.worths.scores.max() == pytest.approx(allowed[allowed <= threshold].max())


def test_bounds_that_are_evaluated_are_kept_by_the_best() -> None:
    space = Ops()
    value, other = value_of(space, 0), value_of(space, 1)
    every = all_of(space)
    bound = other(every).quantile(0.9)
    asked = Asked(value, lambda graph: other(graph) - bound)
    seeker = Seeker(generator_for(space, None), asked, everything, rng_of(0), config=CONFIG)
    seeker.run(800)
    best = GraphBatch.from_choices(seeker.choices[seeker.worths.best(1)], space.template)
    kept = value(every)[other(every) >= bound]
    assert other(best) >= bound
    # Among the best thousandth of those that keep it.
    assert value(best) >= kept.quantile(0.995)


def test_fixed_decisions_stay() -> None:
    space = Ops()
    name = space.template.slots[3]
    fixed = space.partial(f"{name}=pool")
    seeker = Seeker(
        generator_for(space, None), Asked(value_of(space)), everything, rng_of(0), fixed=fixed, config=CONFIG
    )
    seeker.run(200)
    assert set(seeker.choices[:, 2].tolist()) == {space.template.vocabulary.index("pool")}


def test_what_is_fixed_by_name_stays_in_its_place() -> None:
    space = get_space("nasbench_graph")
    slot = space.template.free_slots[-1]
    word = space.template.operations[slot][-1]
    fixed = space.partial(f"{space.template.slots[slot]}={word}")
    asked = Asked(lambda graph: graph.choices().double().std(1))
    seeker = Seeker(UniformGenerator(space), asked, everything, rng_of(0), fixed=fixed, config=CONFIG)
    seeker.run(60)
    graph = GraphBatch.from_choices(seeker.choices, space.template)
    assert set(graph.ops[:, slot].tolist()) == {space.template.vocabulary.index(word)}


def test_the_same_seed_evaluates_the_same() -> None:
    space = DepthChain()
    found = []
    for seed in (0, 0, 1):
        seeker = Seeker(generator_for(space, None), Asked(value_of(space)), everything, rng_of(seed), config=CONFIG)
        seeker.run(80)
        found.append(seeker.choices)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_space_that_is_used_up_ends_the_search() -> None:
    space = DepthChain()
    seeker = Seeker(generator_for(space, None), Asked(value_of(space)), everything, rng_of(0), config=CONFIG)
    seeker.run(10 * space.count)
    assert seeker.evaluated <= space.count
    assert seeker.worths.scores.max() == pytest.approx(value_of(space)(all_of(space)).max())


def test_what_is_known_at_the_start_is_not_asked() -> None:
    space = Ops()
    value, asked = value_of(space), Asked(value_of(space))
    known = all_of(space)[torch.arange(0, 6000, 60)]
    seeker = Seeker(generator_for(space, None), asked, everything, rng_of(0), config=CONFIG)
    seeker.start(known, Worth(value(known)[:, None], torch.empty(len(known), 0)))
    assert not asked.rows
    seeker.run(seeker.evaluated + 100)
    assert len(asked.rows) == 100
    assert not set(asked.rows) & set(map(tuple, known.choices().tolist()))


def test_two_objectives_end_up_spread_over_the_front() -> None:
    space = Ops()
    first, second = value_of(space, 0), value_of(space, 1)

    def worth(graph: GraphBatch) -> Worth:
        return Worth(torch.stack([first(graph), second(graph)], 1), torch.empty(len(graph), 0))

    seeker = Seeker(generator_for(space, None), worth, everything, rng_of(0), config=SeekerConfig(batch=50, parents=50))
    seeker.run(1500)
    every = all_of(space)
    scores = seeker.worths.scores
    assert scores[:, 0].max() == pytest.approx(first(every).max(), abs=0.5)
    assert scores[:, 1].max() == pytest.approx(second(every).max(), abs=0.5)
    assert (first(every) + second(every)).max() <= scores.sum(1).max() + 0.5


@pytest.mark.parametrize("name", ["nasbench101", "nasbench_graph"])
def test_spaces_that_no_generator_was_trained_for(name: str) -> None:
    space = get_space(name)
    asked = Asked(lambda graph: graph.choices().double().std(1))
    seeker = Seeker(UniformGenerator(space), asked, everything, rng_of(0), config=CONFIG)
    with torch.inference_mode():
        seeker.run(120)
    archs = GraphBatch.from_choices(seeker.choices, space.template).to_archs(space)
    assert len({arch.key for arch in archs if arch is not None}) == len(archs) == 120
    assert np.isfinite(seeker.worths.scores.numpy()).all()
