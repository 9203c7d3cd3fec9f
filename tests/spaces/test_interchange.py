"""Archs as graphs of networkx and PyTorch Geometric: faithful, and back again."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from torch_geometric.loader import DataLoader

from gennas.errors import InvalidArchError, UnknownNameError
from gennas.spaces import SPACES, get_space
from gennas.spaces.interchange import from_networkx, from_pyg, to_networkx, to_pyg

SPACE = get_space("nasbench201")
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"


@pytest.mark.parametrize("name", list(SPACES))
def test_there_and_back(name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(5)]
    graphs = [to_networkx(space, arch) for arch in archs]
    assert [from_networkx(space, graph) for graph in graphs] == archs
    assert from_pyg(space, to_pyg(space, archs)) == archs
    for graph, data in zip(graphs, to_pyg(space, archs), strict=True):
        assert nx.is_directed_acyclic_graph(graph)
        assert sorted(graph.edges) == sorted(map(tuple, data.edge_index.T.tolist()))
        assert [graph.nodes[i]["op_index"] for i in range(len(graph))] == data.x.tolist()
        assert nx.node_link_graph(nx.node_link_data(graph, edges="links"), edges="links").edges == graph.edges


def test_edges_are_those_of_the_dataflow() -> None:
    graph = to_networkx(SPACE, SPACE.parse(CELL))
    empty = next(node for node, facts in graph.nodes(data=True) if facts["op"] == "none")
    assert graph.degree(empty) == 0
    assert graph.nodes[0] == {"slot": "input", "op": "input", "op_index": graph.nodes[0]["op_index"]}
    paths = list(nx.all_simple_paths(graph, 0, len(graph) - 1))
    assert len(paths) == 3  # 0->3, 0->1->3 and 0->1->2->3: 0->2 is empty


def test_a_graph_made_by_hand() -> None:
    space = get_space("nasbench101")
    graph: nx.DiGraph[str] = nx.DiGraph([("input", "1"), ("1", "output"), ("input", "2"), ("2", "output")])
    ops = {"input": "input", "1": "conv3x3-bn-relu", "2": "maxpool3x3", "output": "output"}
    for slot in space.template.slots:
        graph.add_node(slot, op=ops.get(slot, space.absent))
    assert from_networkx(space, graph) == space.parse("110/01/1 conv3x3-bn-relu,maxpool3x3")


def test_graphs_that_are_no_archs() -> None:
    graph = to_networkx(SPACE, SPACE.parse(CELL))
    graph.nodes[1]["op"] = "nor_conv_5x5"
    with pytest.raises(UnknownNameError, match="nor_conv_3x3"):
        from_networkx(SPACE, graph)
    del graph.nodes[1]["op"]
    with pytest.raises(InvalidArchError, match="node 1 has no operation"):
        from_networkx(SPACE, graph)
    graph.remove_node(1)
    with pytest.raises(InvalidArchError, match="no node for"):
        from_networkx(SPACE, graph)
    graph.add_node(99, op="none")
    with pytest.raises(InvalidArchError, match="99 is none of the slots"):
        from_networkx(SPACE, graph)
    (data,) = to_pyg(SPACE, [SPACE.parse(CELL)])
    data.x[0] = 77
    with pytest.raises(InvalidArchError, match="77"):
        from_pyg(SPACE, [data])
    with pytest.raises(InvalidArchError, match="expected 'darts'"):
        to_pyg(get_space("darts"), [SPACE.parse(CELL)])


def test_loaders_batch_them() -> None:
    archs = [SPACE.sample(np.random.default_rng(i)) for i in range(4)]
    batch = next(iter(DataLoader(to_pyg(SPACE, archs), batch_size=4)))
    n = len(SPACE.template.slots)
    assert batch.x.shape == (4 * n,)
    assert batch.arch_edge_index.max() >= 3 * n  # shifted, like edge_index
    assert batch.key == [arch.key for arch in archs]
    assert to_pyg(SPACE, []) == []
