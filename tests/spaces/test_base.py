"""Space and Template, on random templates through a toy space."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError, InvalidInputError, UnknownNameError
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, FORBIDDEN, FREE, Template

unhurried = settings(deadline=None, max_examples=50)


@dataclass(frozen=True)
class Toy(Space):
    """A space without networks: JSON is its notation, and every arch is its own canonical form."""

    name = "toy"
    template = Template(("a", "b"), ("x", "y"), np.ones((2, 2), dtype=bool), np.triu(np.ones((2, 2), np.int8), 1))
    width: int = 4
    depth: int = 2

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return json.dumps([list(ops), [list(edge) for edge in edges]])

    def read(self, key: str) -> PartialArch:
        ops, edges = json.loads(key)
        return PartialArch(self.name, tuple(ops), tuple(sorted((i, j) for i, j in edges)))

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def build(self, arch: Arch, task: object) -> object:
        raise NotImplementedError

    def slot_costs(self, task: object) -> dict[str, tuple[float, np.ndarray]]:
        table = np.arange(self.template.allowed.size, dtype=float).reshape(self.template.allowed.shape)
        return {"params_m": (10.0, table)}


def toy(template: Template) -> Toy:
    return type("ToyOfTemplate", (Toy,), {"template": template})()


@st.composite
def templates(draw: st.DrawFn) -> Template:
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    allowed = np.array([[draw(st.booleans()) for _ in range(k)] for _ in range(n)])
    for row in allowed:
        row[draw(st.integers(0, k - 1))] = True
    edges = np.zeros((n, n), dtype=np.int8)
    for i in range(n):
        for j in range(i + 1, n):
            edges[i, j] = draw(st.sampled_from([FORBIDDEN, FIXED, FREE]))
    return Template(tuple(f"slot{i}" for i in range(n)), tuple(f"op{v}" for v in range(k)), allowed, edges)


seeds = st.integers(0, 2**32 - 1)


@unhurried
@given(templates(), seeds)
def test_samples_are_valid_and_their_keys_lead_back(template: Template, seed: int) -> None:
    space = toy(template)
    arch = space.sample(np.random.default_rng(seed))
    assert space.problems(arch) == []
    assert space.parse(arch.key) == arch
    assert arch.edges == tuple(sorted(arch.edges))
    assert space.sample(np.random.default_rng(seed)) == arch


@unhurried
@given(templates())
def test_samples_reach_every_choice_and_only_these(template: Template) -> None:
    space = toy(template)
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(120)]
    for i, allowed in enumerate(template.allowed):
        choices = {op for op, ok in zip(template.vocabulary, allowed, strict=True) if ok}
        assert {arch.ops[i] for arch in archs} == choices
    counts = {pair: sum(pair in arch.edges for arch in archs) for pair in template.free_edges}
    assert all(0 < count < len(archs) for count in counts.values())


@unhurried
@given(templates())
def test_decisions_count_the_choices(template: Template) -> None:
    assert template.decisions == len(template.free_slots) + len(template.free_edges)
    assert all(template.allowed[i].sum() > 1 for i in template.free_slots)
    assert all(template.edges[pair] == FREE for pair in template.free_edges)


@unhurried
@given(templates(), seeds, st.data())
def test_every_single_defect_is_named(template: Template, seed: int, data: st.DataObject) -> None:
    space = toy(template)
    arch = space.sample(np.random.default_rng(seed))
    slot = data.draw(st.integers(0, len(arch.ops) - 1))
    ops = (*arch.ops[:slot], "stranger", *arch.ops[slot + 1 :])
    (defect,) = space.problems(replace(arch, ops=ops))
    assert f"slot slot{slot} has operation 'stranger'" in defect
    (defect,) = space.problems(replace(arch, ops=(*arch.ops, "op0")))
    assert defect == f"{len(arch.ops) + 1} operations for {len(arch.ops)} slots"
    for pair in [
        (0, 0),
        (-1, 0),
        (0, len(arch.ops)),
        *np.argwhere(np.triu(template.edges == FORBIDDEN, 1)).tolist(),
    ]:
        (defect,) = space.problems(replace(arch, edges=(*arch.edges, tuple(pair))))
        assert defect == f"edge ({pair[0]}, {pair[1]}) is not allowed"
    for pair in np.argwhere(template.edges == FIXED).tolist():
        edges = tuple(edge for edge in arch.edges if edge != tuple(pair))
        (defect,) = space.problems(replace(arch, edges=edges))
        assert defect == f"the fixed edge slot{pair[0]} -> slot{pair[1]} is missing"


@unhurried
@given(templates(), seeds)
def test_costs_are_the_sum_over_slots(template: Template, seed: int) -> None:
    space = toy(template)
    arch = space.sample(np.random.default_rng(seed))
    _, table = space.slot_costs(None)["params_m"]
    expected = 10.0
    for slot, op in enumerate(arch.ops):
        expected += table[slot, template.vocabulary.index(op)]
    assert space.costs(arch, None)["params_m"] == expected


@unhurried
@given(templates(), seeds)
def test_dataflow_skips_empty_slots(template: Template, seed: int) -> None:
    space = toy(template)
    archs = [space.sample(np.random.default_rng(seed + row)) for row in range(3)]
    ops, edges = space.arrays(archs)
    assert all(ours is theirs for ours, theirs in zip(space.dataflow(ops, edges), (ops, edges), strict=True))
    assert np.array_equal(space.channel_shares(ops, edges), np.ones(ops.shape))
    type(space).absent = template.vocabulary[0]
    same, flow = space.dataflow(ops, edges)
    assert same is ops
    for arch, found in zip(archs, flow, strict=True):
        expected = {(i, j) for i, j in arch.edges if space.absent not in (arch.ops[i], arch.ops[j])}
        assert {(int(i), int(j)) for i, j in np.argwhere(found)} == expected


def test_arch_lists_every_defect_and_sorts_edges() -> None:
    free = Template(("a", "b", "c"), ("x",), np.ones((3, 1), dtype=bool), np.triu(np.full((3, 3), FREE, np.int8), 1))
    assert toy(free).arch("xxx", [(1, 2), (0, 1)]).edges == ((0, 1), (1, 2))
    with pytest.raises(InvalidArchError, match=r"slot a has operation 'p'; allowed: x; slot c has operation 'q'"):
        toy(free).arch("pxq")


def test_rules_beyond_the_template_hold_for_samples_and_archs() -> None:
    class Budget(Toy):
        template = Template(
            tuple("abcd"), ("x",), np.ones((4, 1), dtype=bool), np.triu(np.full((4, 4), FREE, np.int8), 1)
        )

        def rule_problems(self, arch: Arch) -> list[str]:
            return [] if len(arch.edges) <= 2 else [f"{len(arch.edges)} edges, at most 2"]

    space, rng = Budget(), np.random.default_rng(0)
    assert max(len(space.sample(rng).edges) for _ in range(50)) == 2
    with pytest.raises(InvalidArchError, match="3 edges, at most 2"):
        space.arch("xxxx", [(0, 1), (0, 2), (0, 3)])


@pytest.mark.parametrize(
    ("allowed", "edges", "words"),
    [
        (np.ones((2, 3), bool), np.zeros((2, 2), np.int8), "got (2, 3) and (2, 2)"),
        (np.ones((2, 2), bool), np.zeros((3, 3), np.int8), "got (2, 2) and (3, 3)"),
        (
            np.array([[True, True], [False, False]]),
            np.zeros((2, 2), np.int8),
            "without any allowed operation: ['b']",
        ),
        (np.ones((2, 2), bool), np.eye(2, dtype=np.int8), "from an earlier slot to a later one"),
        (np.ones((2, 2), bool), np.array([[0, 0], [2, 0]], np.int8), "from an earlier slot to a later one"),
    ],
)
def test_malformed_templates(allowed: np.ndarray, edges: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Template(("a", "b"), ("x", "y"), allowed, edges)


def test_skeleton_settings() -> None:
    assert Toy.with_skeleton("").skeleton == {"width": 4, "depth": 2}
    assert Toy.with_skeleton(" depth = 7 ").skeleton == {"width": 4, "depth": 7}
    assert Toy.with_skeleton({"width": 1}) == Toy(width=1)
    with pytest.raises(UnknownNameError, match=r"skeleton setting of toy 'widht'\. Did you mean 'width'"):
        Toy.with_skeleton("widht=3")
    for bad in ("width=0", "width=-1", "width=1.5", "width=", "width"):
        with pytest.raises(InvalidInputError, match="must be an integer from 1 to 100000"):
            Toy.with_skeleton(bad)


def test_enumerating_a_space_without_a_size_raises() -> None:
    with pytest.raises(InvalidInputError, match="sample from it instead"):
        list(_all(Toy()))


def _all(space: Space) -> Iterator[Arch]:
    return space.enumerate()


def test_a_template_may_have_several_outputs() -> None:
    """One input feeds two outputs, each over an edge that may be absent."""
    edges = np.zeros((3, 3), np.int8)
    edges[0, 1:] = FREE
    space = toy(Template(("in", "left", "right"), ("x",), np.ones((3, 1), dtype=bool), edges))
    for present, constant in (((), True), (((0, 1),), False), (((0, 2),), False)):
        assert space.is_constant(space.arch("xxx", present)) is constant
