"""Masks of refills: where they may be, what they take along, and what is learnt about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parts_spaces import DepthChain, TwoCells

from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.refills import SIZES, TILTS, Refills, masked_together
from gennas.diffusion.worth import Worth
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import PartsSpace, get_space


def children_of(space: PartsSpace, free: torch.Tensor, count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks, and the choices of their parents."""
    rng = np.random.default_rng(0)
    choices = GraphBatch.from_archs([space.sample(rng) for _ in range(8)], space.template).choices()
    refills = Refills(space, free, torch.Generator().manual_seed(0))
    worth = Worth(torch.arange(8.0, 0, -1)[:, None], torch.zeros(8, 0))
    children = refills.children(count, worth, torch.ones(1), choices)
    return children.masked, choices[children.parent]


@pytest.mark.parametrize("space_class", [DepthChain, TwoCells])
def test_every_choice_can_be_reached_by_masking_one_decision_and_what_it_takes_along(
    space_class: type[PartsSpace],
) -> None:
    space, together = space_class(), masked_together(space_class())
    generator = Generator(space, ExactDenoiser(space))
    rng = np.random.default_rng(0)
    archs = GraphBatch.from_archs([space.sample(rng) for _ in range(200)], space.template)
    for decision, masked in enumerate(together):
        filled = generator.filled(archs.with_mask(masked.expand(200, -1)), [], torch.Generator().manual_seed(0))
        reached, drawn = (set(graph.choices()[:, decision].tolist()) for graph in (filled, archs))
        assert reached == drawn


def test_a_depth_takes_its_blocks_along_and_a_block_nothing() -> None:
    space = DepthChain()
    names = [space.template.slots[slot] for slot in space.template.free_slots]
    together = masked_together(space)
    depth = next(row for row, name in enumerate(names) if name.startswith("depth") and together[row].sum() > 1)
    along = {names[row] for row in together[depth].nonzero()[:, 0].tolist()} - {names[depth]}
    assert along
    assert all(name.startswith("expansion") for name in along)
    block = names.index(next(iter(along)))
    assert together[block].sum() == 1


def test_a_vertex_that_may_be_absent_takes_its_edges_along() -> None:
    space = get_space("nasbench101")
    layout, together = decisions_of(space.template), masked_together(space)
    edges = together[0, len(layout.slots) :]
    touched = (layout.edges == layout.slots[0]).any(1)
    assert torch.equal(edges, touched)


def test_masks_are_where_something_is_free() -> None:
    space = DepthChain()
    free = torch.ones(space.template.decisions, dtype=torch.bool)
    free[:2] = False
    masked, _ = children_of(space, free)
    assert not masked[:, :2].any()
    assert masked.any(1).float().mean() > 0.9


def test_what_succeeds_is_chosen_more_often() -> None:
    space = DepthChain()
    free = torch.ones(space.template.decisions, dtype=torch.bool)
    refills = Refills(space, free, torch.Generator().manual_seed(0))
    arms = torch.arange(len(SIZES) * len(TILTS))
    for _ in range(20):
        refills.learn(arms, arms == 5)
    rng = np.random.default_rng(0)
    choices = GraphBatch.from_archs([space.sample(rng) for _ in range(8)], space.template).choices()
    children = refills.children(2000, Worth(torch.zeros(8, 1), torch.zeros(8, 0)), torch.ones(1), choices)
    chosen = torch.bincount(children.arm[children.arm >= 0], minlength=len(arms))
    assert chosen.argmax() == 5
    assert chosen[5] > 5 * chosen[6]
    assert (choices != MASK).all()
