"""GraphBatch: tensors lead back to archs, and masking and deciding touch what they name and nothing else."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import completions, drawn, mixed, partly_masked, templates, toy

from gennas.arch import Arch
from gennas.errors import InvalidArchError
from gennas.graph import MASK, GraphBatch, decisions_of, from_networkx, to_networkx
from gennas.spaces import Space, get_space
from gennas.spaces.base import FIXED, FREE, Template
from gennas.spaces.nasbench201 import OPS

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
    decisions = decisions_of(template)
    assert tuple(decisions.slots.tolist()) == template.free_slots
    assert [tuple(pair) for pair in decisions.edges.tolist()] == list(template.free_edges)
    assert decisions.allowed.shape == (template.decisions, max(len(template.vocabulary), 2))
    counts = [int(template.allowed[i].sum()) for i in template.free_slots] + [2] * len(template.free_edges)
    assert decisions.allowed.sum(1).tolist() == counts
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
    # What is no decision stays, whatever is masked.
    fixed = torch.from_numpy(template.edges == FIXED)
    assert (masked.edges[:, fixed] == 1).all()
    assert (masked.edges[:, torch.from_numpy(template.edges != FREE)] != MASK).all()
    again = masked
    for which in range(template.decisions):
        column = torch.full((3,), which)
        again = again.decide(column, graph.choices()[:, which])
    assert torch.equal(again.ops, graph.ops)
    assert torch.equal(again.edges, graph.edges)


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


def test_partly_masked_graphs_are_no_archs() -> None:
    with pytest.raises(ValueError, match="decide every slot and edge first"):
        GraphBatch.undecided_batch(mixed().template, 1).to_archs(mixed())


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
        graph = graph.decide(torch.full((2,), decision), value)
    broken, sound = graph.to_archs(space)
    assert broken is None
    assert sound is not None
    assert sound.edges == ()


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
    with pytest.raises(InvalidArchError, match=r"nodes .* are not the slots .* of nasbench201"):
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
