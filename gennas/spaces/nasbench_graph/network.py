"""The networks of NAS-Bench-Graph; needs torch and torch_geometric.

The macro structure is that of Qin et al. (NeurIPS 2022), section 3.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn import ARMAConv, ChebConv, GATConv, GCNConv, GINConv, GraphConv, SAGEConv

from gennas.spaces.nasbench_graph.macro import Macro


class Node(nn.Module):
    """A computing node: batch norm, ReLU and dropout, then its operation on the graph.

    A node that reads the raw features skips all three before its operation. Its batch norm exists nevertheless, as
    in the benchmark's networks, so that the numbers of parameters agree.
    """

    def __init__(self, op: str, c_in: int, width: int, *, reads_features: bool, dropout: float) -> None:
        super().__init__()
        self.reads_features = reads_features
        self.takes_edges = op not in ("fc", "skip")
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.layer = _layer(op, c_in, width)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        if not self.reads_features:
            x = self.dropout(self.norm(x).relu())
        return self.layer(x, edge_index) if self.takes_edges else self.layer(x)


class GraphNetwork(nn.Module):
    """A whole network: ``(nodes, features), (2, edges) -> (nodes, classes)`` logits.

    Args:
        link: the node that each of the four nodes reads; 0 is the input.
        ops: the operations of the four nodes.
        macro: the network around the nodes.
        features: number of features of a node of the graph.
        classes: number of classes.
        dropout: dropout probability in training; the benchmark tuned it for each data set but does not publish the
            values.
    """

    def __init__(
        self,
        link: Sequence[int],
        ops: Sequence[str],
        macro: Macro,
        features: int,
        classes: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.link = tuple(link)
        self.leaves = [node for node in range(1, len(link) + 1) if node not in link]
        self.dropout = nn.Dropout(dropout)
        self.before = nn.Linear(features, macro.width) if macro.before else nn.Identity()
        self.nodes = nn.ModuleList()
        reads_features = [not macro.before]
        for source, op in zip(link, ops, strict=True):
            raw = reads_features[source]
            c_in = features if raw else macro.width
            self.nodes.append(Node(op, c_in, macro.width, reads_features=raw, dropout=dropout))
            reads_features.append(raw and op == "skip")
        self.head = nn.Sequential(nn.ReLU(), *(nn.Linear(*widths) for widths in macro.head(link, classes)))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        outputs = [self.before(self.dropout(x))]
        for source, node in zip(self.link, self.nodes, strict=True):
            outputs.append(node(outputs[source], edge_index))
        return self.head(torch.cat([outputs[leaf] for leaf in self.leaves], dim=1))


def _layer(op: str, c_in: int, c_out: int) -> nn.Module:
    if op == "gat":
        return GATConv(c_in, c_out // 2, heads=2)
    if op == "gcn":
        return GCNConv(c_in, c_out)
    if op == "gin":
        return GINConv(nn.Linear(c_in, c_out))
    if op == "cheb":
        return ChebConv(c_in, c_out, K=2)
    if op == "sage":
        return SAGEConv(c_in, c_out)
    if op == "arma":
        return ARMAConv(c_in, c_out)
    if op == "graph":
        return GraphConv(c_in, c_out)
    return nn.Linear(c_in, c_out) if op == "fc" else nn.Identity()
