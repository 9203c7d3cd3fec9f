"""GraphBatch: tensors lead back to archs, and masking and deciding touch what they name and nothing else."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import completions, drawn, mixed, partly_masked, templates, toy

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.graph import MASK, GraphBatch, decisions_of, from_networkx, to_networkx
from gennas.spaces import Space, get_space
from gennas.spaces.nasbench201.space import OPS
from gennas.spaces.template import FIXED, FREE, Template

seeds = st.integers(0, 2**31)
NB201 = get_space("nasbench201")


@given(templates(), seeds)
def test_archs_survive_tensors_and_networkx(template: Template, seed: int) -> None:
    space = toy(template)
    archs = drawn(space, 4, seed)
    graph = GraphBatch.from_archs(archs, template)
    assert len(graph) == 4
    assert graph.to_archs(space) == archs
    assert not graph.masked_decisions().any()
    assert [from_networkx(to_networkx(arch, template), space) for arch in archs] == archs


@given(templates(), seeds)
def test_decisions_are_the_free_slots_then_the_free_edges(template: Template, seed: int) -> None:
    layout = decisions_of(template)
    assert tuple(layout.slots.tolist()) == template.free_slots
    assert [tuple(pair) for pair in layout.edges.tolist()] == list(template.free_edges)
    assert layout.allowed.shape == (template.decisions, max(len(template.vocabulary), 2))
    counts = [int(template.allowed[i].sum()) for i in template.free_slots] + [2] * len(template.free_edges)
    assert layout.allowed.sum(1).tolist() == counts
    arch = drawn(toy(template), 1, seed)[0]
    choices = GraphBatch.from_archs([arch], template).choices()[0].tolist()
    ops = [template.vocabulary.index(arch.ops[i]) for i in template.free_slots]
    assert choices == ops + [int(pair in arch.edges) for pair in template.free_edges]


@given(templates(), seeds, st.data())
def test_mask_and_decide_touch_what_they_name(template: Template, seed: int, data: st.DataObject) -> None:
    space = toy(template)
    graph = GraphBatch.from_archs(drawn(space, 3, seed), template)
    bits = [[data.draw(st.booleans()) for _ in range(template.decisions)] for _ in range(3)]
    where = torch.tensor(bits)
    masked = graph.with_mask(where)
    assert torch.equal(masked.masked_decisions(), where)
    assert torch.equal(masked.choices(), graph.choices().masked_fill(where, MASK))
    assert not graph.masked_decisions().any(), "the original is untouched"
    # Whatever is masked, slots and edges without a choice stay as they are.
    fixed = torch.from_numpy(template.edges == FIXED)
    assert (masked.edges[:, fixed] == 1).all()
    assert (masked.edges[:, torch.from_numpy(template.edges != FREE)] != MASK).all()
    again = masked
    for decisions in range(template.decisions):
        again = again.decide(torch.full((3, 1), decisions), graph.choices()[:, decisions : decisions + 1])
    assert torch.equal(again.ops, graph.ops)
    assert torch.equal(again.edges, graph.edges)


@given(templates(), seeds, st.integers(0, 6))
def test_several_decisions_at_once_are_as_one_after_another(template: Template, seed: int, count: int) -> None:
    graph = partly_masked(toy(template), 4, seed)
    rng = torch.Generator().manual_seed(seed)
    decisions = torch.rand(4, template.decisions, generator=rng).argsort(dim=1)[:, :count]
    choice = GraphBatch.from_archs(drawn(toy(template), 4, seed + 1), template).choices().gather(1, decisions)
    before = graph.choices()
    together = graph.decide(decisions, choice)
    one_by_one = graph
    for column in range(decisions.shape[1]):
        one_by_one = one_by_one.decide(decisions[:, column : column + 1], choice[:, column : column + 1])
    assert torch.equal(together.ops, one_by_one.ops)
    assert torch.equal(together.edges, one_by_one.edges)
    assert torch.equal(together.choices().gather(1, decisions), choice)
    untouched = torch.ones_like(before, dtype=torch.bool).scatter(1, decisions, False)
    assert torch.equal(together.choices()[untouched], before[untouched])
    assert torch.equal(graph.choices(), before), "the original is untouched"


@given(templates(), seeds)
def test_arrays_are_the_same_graphs(template: Template, seed: int) -> None:
    space = toy(template)
    archs = drawn(space, 4, seed)
    ops, edges = space.arrays(archs)
    graph = GraphBatch.from_arrays(ops, edges, template)
    expected = GraphBatch.from_archs(archs, template)
    assert torch.equal(graph.ops, expected.ops)
    assert torch.equal(graph.edges, expected.edges)
    assert graph.to_archs(space) == archs
    small = GraphBatch.from_arrays(ops.astype(np.int8), edges, template)
    assert torch.equal(small.ops, expected.ops)
    assert small.ops.dtype == small.edges.dtype == torch.int64
    ops[:], edges[:] = 0, False
    assert torch.equal(graph.ops, expected.ops), "a copy"
    assert torch.equal(graph.edges, expected.edges), "a copy"


@given(templates(), seeds, st.data())
def test_partial_archs_are_masked_where_they_are_open(template: Template, seed: int, data: st.DataObject) -> None:
    space = toy(template)
    (arch,) = drawn(space, 1, seed)
    where = torch.tensor([[data.draw(st.booleans()) for _ in range(template.decisions)]])
    open_slots = {slot for slot, masked in zip(template.free_slots, where[0].tolist(), strict=False) if masked}
    open_edges = [
        pair for pair, masked in zip(template.free_edges, where[0, len(template.free_slots) :], strict=True) if masked
    ]
    partial = PartialArch(
        space.name,
        tuple(None if slot in open_slots else op for slot, op in enumerate(arch.ops)),
        tuple(pair for pair in arch.edges if pair not in open_edges),
        tuple(open_edges),
    )
    graph = GraphBatch.from_partial(partial, template, 3)
    expected = GraphBatch.from_archs([arch] * 3, template).with_mask(where.expand(3, -1))
    assert torch.equal(graph.ops, expected.ops)
    assert torch.equal(graph.edges, expected.edges)
    assert partial.is_whole == (not where.any())
    # Rows share nothing.
    assert graph.ops.untyped_storage().nbytes() == graph.ops.nbytes


def open_in(edges: tuple[tuple[int, int], ...], open_edges: tuple[tuple[int, int], ...], op: str | None) -> PartialArch:
    return PartialArch("toy", (op, None, None), edges, open_edges)


ONE_OF_EACH = Template(
    ("a", "b", "c"),
    ("p", "q"),
    np.array([[1, 1], [1, 1], [0, 1]], dtype=bool),
    np.array([[0, FREE, FIXED], [0, 0, 0], [0, 0, 0]], dtype=np.int8),
)


def test_a_slot_with_one_choice_is_never_masked() -> None:
    graph = GraphBatch.from_partial(open_in(((0, 2),), ((0, 1),), None), ONE_OF_EACH, 2)
    assert graph.ops.tolist() == [[MASK, MASK, 1]] * 2
    assert graph.edges[0].tolist() == [[0, MASK, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("pair", [(0, 2), (1, 2), (1, 0)], ids=["fixed", "forbidden", "backward"])
def test_an_open_edge_without_a_choice_is_never_masked(pair: tuple[int, int]) -> None:
    """Fixed edges are present and forbidden ones absent, even if a partial arch leaves them undecided."""
    edges = () if pair == (0, 2) else ((0, 2),)
    graph = GraphBatch.from_partial(open_in(edges, (pair, (0, 1)), "p"), ONE_OF_EACH, 1)
    assert graph.edges[0].tolist() == [[0, MASK, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("partial", "words"),
    [
        (open_in((), (), "p"), "edge a->c is fixed, it cannot be absent"),
        (open_in(((0, 2), (1, 2)), (), "p"), "edge b->c is not allowed"),
        (open_in(((0, 2), (2, 1)), (), "p"), "edge c->b is not allowed"),
        (open_in(((0, 2),), (), "r"), "slot a has operation 'r'; allowed: p, q$"),
        (PartialArch("toy", ("p", "p", "p"), ((0, 2),)), "slot c has operation 'p'; allowed: q$"),
        (PartialArch("toy", ("p", "p"), ((0, 2),)), "2 operations for 3 slots"),
    ],
)
def test_partial_archs_that_the_template_does_not_allow(partial: PartialArch, words: str) -> None:
    with pytest.raises(InvalidArchError, match=words):
        GraphBatch.from_partial(partial, ONE_OF_EACH, 2)


@given(templates())
def test_an_undecided_batch_holds_only_what_is_fixed(template: Template) -> None:
    graph = GraphBatch.undecided_batch(template, 2)
    assert graph.masked_decisions().all()
    assert graph.masked_decisions().shape == (2, template.decisions)
    for slot, allowed in enumerate(template.allowed):
        expected = MASK if allowed.sum() > 1 else int(allowed.argmax())
        assert (graph.ops[:, slot] == expected).all()
    edges = {FREE: MASK, FIXED: 1, 0: 0}
    assert graph.edges[0].tolist() == [[edges[int(mark)] for mark in row] for row in template.edges]


@given(templates(), seeds)
def test_pyg_counts(template: Template, seed: int) -> None:
    graph = partly_masked(toy(template), 4, seed)
    data = graph.to_pyg()
    n, k = len(template.slots), len(template.vocabulary)
    assert data.num_nodes == 4 * n
    assert data.x.view(4, n).eq(k).sum() == (graph.ops == MASK).sum()
    assert int(data.x.max()) <= k
    assert data.edge_index.shape[1] == int((graph.edges != 0).sum())
    assert int(data.edge_state.sum()) == int((graph.edges == MASK).sum())
    assert data.batch.bincount().tolist() == [n] * 4
    # Edges stay within their graph, and go forward.
    source, target = data.edge_index
    assert torch.equal(data.batch[source], data.batch[target])
    assert (source < target).all()
    data.validate(raise_on_error=True)


def test_rows_may_repeat_and_be_moved() -> None:
    graph = partly_masked(mixed(), 4)
    picked = graph[torch.tensor([2, 0, 2])].to("cpu")
    assert len(picked) == 3
    assert torch.equal(picked.choices(), graph.choices()[[2, 0, 2]])


def test_partly_masked_graphs_cannot_be_converted_to_archs() -> None:
    with pytest.raises(ValueError, match="decide every slot and edge first"):
        GraphBatch.undecided_batch(mixed().template, 1).to_archs(mixed())


@given(templates(), seeds)
def test_copies_become_the_same_archs(template: Template, seed: int) -> None:
    space = toy(template)
    archs = drawn(space, 4, seed)
    rows = torch.randint(4, (15,), generator=torch.Generator().manual_seed(seed))
    graph = GraphBatch.from_archs(archs, template)[rows]
    assert graph.to_archs(space) == [archs[row] for row in rows.tolist()]


def test_a_graph_that_breaks_a_rule_is_none() -> None:
    class AtMostOneEdge(type(mixed())):  # type: ignore[misc]
        def rule_problems(self, arch: Arch) -> list[str]:
            return [] if len(arch.edges) <= 1 else ["too many edges"]

    space = AtMostOneEdge()
    full, empty = np.array([1, 1, 1]), np.array([0, 0, 0])
    graph = GraphBatch.undecided_batch(space.template, 2)
    for decision in range(space.template.decisions):
        edge = decision - 2
        value = torch.tensor([full[edge], empty[edge]]) if edge >= 0 else torch.tensor([2, 2])
        graph = graph.decide(torch.full((2, 1), decision), value[:, None])
    invalid, valid = graph.to_archs(space)
    assert invalid is None
    assert valid is not None
    assert valid.edges == ()
    # In any order, and with duplicates.
    rows = torch.tensor([1, 0, 0, 1, 1, 0])
    assert graph[rows].to_archs(space) == [valid, None, None, valid, valid, None]
    every = GraphBatch.from_archs(list(mixed().enumerate()), space.template)
    expected = [arch if len(arch.edges) <= 1 else None for arch in mixed().enumerate()]
    assert every.to_archs(space) == expected


@pytest.mark.parametrize("space", [NB201, mixed()])
def test_no_archs_make_an_empty_batch(space: Space) -> None:
    graph = GraphBatch.from_archs([], space.template)
    assert len(graph) == 0
    assert graph.choices().shape == (0, space.template.decisions)
    assert graph.to_archs(space) == []


def test_every_cell_of_nasbench201_survives() -> None:
    archs = list(NB201.enumerate())
    graph = GraphBatch.from_archs(archs, NB201.template)
    assert graph.choices().unique(dim=0).shape == (5**6, 6)
    assert graph.to_archs(NB201) == archs
    assert NB201.template.decisions == 6


def test_networkx_names_slots_and_operations() -> None:
    arch = NB201.sample(np.random.default_rng(0))
    graph = to_networkx(arch, NB201.template)
    assert graph.name == arch.key
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.nodes["0->1"]["op"] in OPS
    assert nx.get_node_attributes(graph, "op")["input"] == "input"
    graph.remove_node("0->1")
    with pytest.raises(InvalidArchError, match=r"nodes are \[.*\]; expected the slots of nasbench201"):
        from_networkx(graph, NB201)
    graph = to_networkx(arch, NB201.template)
    graph.nodes["0->1"]["op"] = "dil_conv"
    with pytest.raises(InvalidArchError, match="slot 0->1 has operation 'dil_conv'"):
        from_networkx(graph, NB201)


def test_the_toy_of_these_tests_enumerates_its_space() -> None:
    space = mixed()
    archs = list(space.enumerate())
    assert len({arch.key for arch in archs}) == len(archs) == 3 * 2 * 2**3
    assert completions(GraphBatch.undecided_batch(space.template, 1), space) == archs
    assert completions(GraphBatch.from_archs(archs[:1], space.template), space) == archs[:1]


def test_random_masks_have_the_asked_size_and_levels_of_all_sizes() -> None:
    graph = GraphBatch.undecided_batch(get_space("nasbench101").template, 4000)
    decisions = graph.template.decisions
    rng = torch.Generator().manual_seed(0)
    assert (graph.random_mask(rng, count=3).sum(1) == 3).all()
    count = torch.arange(4000)[:, None] % (decisions + 1)
    mask = graph.random_mask(rng, count=count)
    assert torch.equal(mask.sum(1), count[:, 0])
    # Given how many, every decision is as likely as another.
    assert ((mask.float().mean(0) - 0.5).abs() < 0.05).all()
    # With a uniform level of its own, a graph has each number of masked decisions with the same probability.
    numbers = graph.random_mask(rng).sum(1).bincount(minlength=decisions + 1) / len(graph)
    assert ((numbers - 1 / (decisions + 1)).abs() < 0.02).all()
