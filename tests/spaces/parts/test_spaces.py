"""Spaces composed of parts keep the contract of spaces, and agree with brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from parts_spaces import SPACES, Cells, DepthChain, Joint, Ops, TwoCells, Widths
from scipy.stats import chisquare
from torch.utils.flop_counter import FlopCounterMode

from gennas.arch import Arch
from gennas.search.mutation import crossed, mutated, neighbours
from gennas.spaces import PartsSpace
from gennas.spaces.drawing import draw_svg
from gennas.tasks import Task
from gennas.testing import check_space

TASK = Task("small", (3, 16, 16), 5)
RNG = np.random.default_rng


def is_valid(space: PartsSpace, ops: tuple[str, ...]) -> bool:
    """The rules of the spaces here, written out from their names."""
    slot = dict(zip(space.template.slots, ops, strict=True))
    if isinstance(space, DepthChain | Joint):
        for name, op in slot.items():
            _, *place = name.split(".")
            depth = slot.get(f"depth.{place[0]}") if len(place) == 2 else None
            if depth is not None and (op == "-") != (int(place[1]) > int(depth[1:])):
                return False
        return True
    if isinstance(space, Cells):
        edges = [op for name, op in slot.items() if "->" in name]
        return {op == "-" for op in edges} == {slot["depth"] == "d0"}
    if isinstance(space, TwoCells):
        used = Counter(
            name.split("->")[0][:-2] + name[-1] for name, op in slot.items() if "->" in name and op != "none"
        )
        return all(used[f"{cell}{node}"] == min(2, node) for cell in ("normal", "reduction") for node in (1, 2, 3))
    return True


@pytest.mark.parametrize("space_class", SPACES)
def test_contract(space_class: type[PartsSpace]) -> None:
    check_space(space_class(), TASK)


@pytest.mark.parametrize("space_class", [DepthChain, Cells])
def test_enumeration_is_what_brute_force_finds(space_class: type[PartsSpace]) -> None:
    space = space_class()
    products = itertools.product(*space.template.operations)
    valid = {ops for ops in products if is_valid(space, ops)}
    archs = list(space.enumerate())
    assert {arch.ops for arch in archs} == valid
    assert len(archs) == space.size == space.count


def test_counts_in_closed_form() -> None:
    # Depths 1 and 2 with two expansions a block, times depths 0, 1 and 3, times the shared kernel.
    assert DepthChain().size == 2 * (2 + 4) * (1 + 2 + 8)
    assert Widths().size == Ops().size == 3**8
    # A resolution; by stage a width, a kernel, and 4 blocks' words to the power of the depth.
    assert Joint().count == 2 * (2 * 2 * (4 + 16)) ** 2
    # Three nodes: one input; both; two of three. Three operations on each.
    assert TwoCells().count == (3 * 3**2 * 3 * 3**2) ** 2
    assert Cells().size == 2 * (1 + 2 * 4**3)


@pytest.mark.parametrize("space_class", SPACES)
def test_validity_agrees_with_brute_force_on_changed_archs(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(0)
    template = space.template
    seen = {True: 0, False: 0}
    for _ in range(300):
        ops = list(space.sample(rng).ops)
        for slot in rng.choice(template.free_slots, rng.integers(3)):
            ops[slot] = str(rng.choice(template.operations[slot]))
        valid = is_valid(space, tuple(ops))
        seen[valid] += 1
        assert valid == (not space.problems(Arch(space.name, "", tuple(ops), template.fixed_edges)))
    assert seen[True]
    assert seen[False] or not space.has_rules


@pytest.mark.parametrize("space_class", SPACES)
def test_keys_lead_back(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(1)
    archs = list(space.enumerate()) if space.size and space.size < 2_000 else [space.sample(rng) for _ in range(2_000)]
    assert all(space.parse(arch.key) == arch for arch in archs)
    assert len({arch.key for arch in archs}) == len({arch.ops for arch in archs})


@pytest.mark.parametrize("space_class", SPACES)
def test_costs_are_those_of_the_network(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(2)
    for _ in range(5):
        arch = space.sample(rng)
        network = space.build(arch, TASK).eval()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(torch.zeros(1, 3, 16, 16))
        costs = space.costs(arch, TASK)
        assert costs["macs_m"] == pytest.approx(counter.get_total_flops() / 2e6, rel=1e-12)
        assert costs["params_m"] == pytest.approx(sum(p.numel() for p in network.parameters()) / 1e6, rel=1e-12)


@pytest.mark.parametrize("space_class", SPACES)
def test_slot_costs_are_a_sum_only_where_that_is_exact(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(3)
    tables = space.slot_costs(TASK)
    # Widths are products of neighbours; resolutions and shared kernels multiply; a deep cell comes several times.
    assert (tables is None) == (space_class in (Widths, Joint, DepthChain, Cells))
    for _ in range(20 if tables else 0):
        arch = space.sample(rng)
        row = [space.template.vocabulary.index(op) for op in arch.ops]
        for name, (base, table) in tables.items():
            found = base + table[np.arange(len(row)), row].sum()
            assert found == pytest.approx(space.costs(arch, TASK)[name], rel=1e-9)


@pytest.mark.parametrize("space_class", SPACES)
def test_cost_terms_add_up(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(3)
    found = space.cost_terms(TASK)
    # A block of this space depends on more choices than a term may: resolution, width before and after, kernel, words.
    assert (found is None) == (space_class is Joint)
    for _ in range(50 if found else 0):
        ops, _ = space.arrays([arch := space.sample(rng)])
        for name, (base, terms) in found.items():
            places = space.template.allowed.cumsum(axis=1) - 1
            at = [tuple(places[list(term.slots), ops[0, list(term.slots)]]) for term in terms]
            total = base + sum(term.values[place] for term, place in zip(terms, at, strict=True))
            assert total == pytest.approx(space.costs(arch, TASK)[name], rel=1e-9)
            for term, place in zip(terms, at, strict=True):
                assert term.shares.sum() == pytest.approx(1)
                assert term.shares[place] > 0


@pytest.mark.parametrize("space_class", SPACES)
def test_trains(space_class: type[PartsSpace]) -> None:
    space = space_class()
    network = space.build(space.sample(RNG(4)), TASK)
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("space_class", [TwoCells, Cells])
def test_canonical_archs_compute_the_same(space_class: type[PartsSpace]) -> None:
    space, rng, changed = space_class(), RNG(5), 0
    images = torch.randn(2, 3, 16, 16)
    for _ in range(200):
        arch = space.sample(rng)
        canonical = space.canonical(arch)
        assert space.canonical(canonical) == canonical
        if canonical == arch:
            continue
        changed += 1
        both = [space.build(each, TASK).eval() for each in (arch, canonical)]
        for network in both:
            for parameter in network.parameters():
                torch.nn.init.constant_(parameter, 0.1)
        with torch.no_grad():
            assert torch.equal(both[0](images), both[1](images))
    assert bool(changed) == (space_class is Cells)


def test_networks_that_ignore_their_input_are_known() -> None:
    space = Cells()
    cut = space.parse("cells:k3/1/none~0|none~0+conv3~1")
    whole = space.parse("cells:k3/1/none~0|conv3~0+none~1")
    absent = space.parse("cells:k3/0/")
    assert [space.is_constant(arch) for arch in (cut, whole, absent)] == [True, False, False]
    # A convolution of nothing still adds the constants of its batch norm; what leads nowhere adds nothing.
    assert space.canonical(cut) == cut
    loose = space.parse("cells:k3/1/conv1~0|conv3~0+none~1")
    assert space.canonical(loose).key == "cells:k3/1/none~0|conv3~0+none~1"


@pytest.mark.parametrize("space_class", [DepthChain, TwoCells])
def test_sampling_is_uniform_over_archs(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(6)
    if space.size is not None:
        counts = Counter(space.sample(rng).key for _ in range(20 * space.size))
        assert len(counts) == space.size
        assert chisquare(list(counts.values())).pvalue > 1e-3
        return
    # Two of three inputs of the last node, with three operations each: 27 ways, all alike.
    ends = [slot for slot, name in enumerate(space.template.slots) if name.startswith("normal") and name.endswith(">3")]
    archs = [space.sample(rng) for _ in range(2_000)]
    counts = Counter(tuple(arch.ops[slot] for slot in ends) for arch in archs)
    assert len(counts) == 27
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("space_class", SPACES)
def test_moves_stay_within_the_space_and_reach_it(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), RNG(7)
    start = space.sample(rng)
    around = neighbours(space, start)
    assert len({arch.key for arch in around}) == len(around) > 0
    for arch in [*around, *mutated(space, around[:20], rng)]:
        assert not space.problems(arch)
    children = [crossed(space, start, other, rng) for other in around]
    assert all(child is not None and not space.problems(child) for child in children)
    if space.size is not None and space.size < 1_000:
        reached, edge = {start.key}, [start]
        while edge:
            found = [arch for each in edge for arch in neighbours(space, each)]
            edge = list({arch.key: arch for arch in found if arch.key not in reached}.values())
            reached.update(arch.key for arch in edge)
        assert len(reached) == space.size


@pytest.mark.parametrize("space_class", SPACES)
def test_drawings(space_class: type[PartsSpace]) -> None:
    space = space_class()
    arch = space.sample(RNG(8))
    drawing = draw_svg(space, arch)
    assert drawing.startswith("<svg")
    assert arch.key[:12] in drawing


def test_dataflow_passes_by_inactive_choices() -> None:
    space = DepthChain()
    arch = space.parse("depth_chain:k3/1.0/e1")
    _, edges = space.dataflow(*space.arrays([arch]))
    slots = space.template.slots
    chain = [(slots[i], slots[j]) for i, j in np.argwhere(edges[0])]
    assert chain == [
        ("input", "depth.1"),
        ("depth.1", "kernel"),
        ("kernel", "expansion.1.1"),
        ("expansion.1.1", "depth.2"),
        ("depth.2", "output"),
    ]
