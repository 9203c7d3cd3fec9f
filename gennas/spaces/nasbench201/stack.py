"""Many networks of NAS-Bench-201 side by side, each with its own cell; needs only torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.spaces.nasbench201.network import Cell, NasBench201Network, ReluConvBn, ResidualBlock
from gennas.spaces.stacks.base import LayeredStack
from gennas.spaces.stacks.layers import StackedBatchNorm2d, StackedConv2d, StackedLinear
from gennas.spaces.stacks.layouts import Layout

_NODES = 4


class StackedReluConvBn(nn.Module):
    """:class:`.ReluConvBn` of several networks.

    Args:
        layers: the single ones, one for each of ``networks``.
        networks: of which network of the stack each is.
        layout: of the feature maps.
        overwrites: whether the input may be overwritten.
    """

    def __init__(
        self, layers: Sequence[nn.Module], networks: Sequence[int], layout: Layout, *, overwrites: bool = False
    ) -> None:
        super().__init__()
        parts = [cast(ReluConvBn, layer) for layer in layers]
        self.overwrites = overwrites
        self.conv = StackedConv2d([cast(nn.Conv2d, part[1]) for part in parts], networks, layout)
        self.norm = StackedBatchNorm2d([cast(nn.BatchNorm2d, part[2]) for part in parts], networks, layout)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(functional.relu(x, inplace=self.overwrites)))


class StackedEdges(nn.Module):
    """All edges with one operation that leave one node, in whichever network and wherever they lead.

    Args:
        op: the operation; not ``none``.
        edges: network, target node and layer of each.
        layout: of the feature maps.
    """

    networks: Tensor

    def __init__(self, op: str, edges: Sequence[tuple[int, int, nn.Module]], layout: Layout) -> None:
        super().__init__()
        edges = sorted(edges, key=lambda edge: edge[1])
        networks = [network for network, _, _ in edges]
        self.op, self.layout = op, layout
        self.targets = sorted({target for _, target, _ in edges})
        self.counts = [sum(target == other for _, other, _ in edges) for target in self.targets]
        self.register_buffer("networks", torch.tensor(networks), persistent=False)
        has_weights = op in ("nor_conv_1x1", "nor_conv_3x3")
        layers = [layer for _, _, layer in edges]
        self.layer = StackedReluConvBn(layers, networks, layout, overwrites=True) if has_weights else None

    def forward(self, node: Tensor, sums: list[Tensor]) -> None:
        """Adds what the edges carry to the sums of the nodes that they lead to.

        Args:
            node: where they begin, in all networks.
            sums: by node.
        """
        axis = self.layout.axis
        carried = node.index_select(axis, self.networks)
        if self.layer is not None:
            carried = self.layer(carried)
        elif self.op == "avg_pool_3x3":
            maps = functional.avg_pool2d(carried.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False)
            carried = maps.view(carried.shape)
        parts = zip(self.targets, carried.split(self.counts, axis), self.networks.split(self.counts), strict=True)
        for target, part, networks in parts:
            sums[target].index_add_(axis, networks, part)


class StackedCell(nn.Module):
    """One cell of every network. Edges from which nothing reaches the output are left out: they change nothing.

    Args:
        cells: of the networks, in their order.
        layout: of the feature maps.
    """

    def __init__(self, cells: Sequence[Cell], layout: Layout) -> None:
        super().__init__()
        found: dict[tuple[int, str], list[tuple[int, int, nn.Module]]] = {}
        for network, cell in enumerate(cells):
            reaching = {_NODES - 1}
            for (source, target), op in sorted(zip(cell.edges, cell.ops, strict=True), key=lambda edge: -edge[0][1]):
                if op != "none" and target in reaching:
                    reaching.add(source)
            for (source, target), op, layer in zip(cell.edges, cell.ops, cell.layers, strict=True):
                if op != "none" and target in reaching:
                    found.setdefault((source, op), []).append((network, target, layer))
        self.begin = nn.ModuleList()
        for source in range(_NODES - 1):
            edges = [StackedEdges(op, found[at, op], layout) for at, op in sorted(found) if at == source]
            self.begin.append(nn.ModuleList(edges))

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x, *(torch.zeros_like(x) for _ in range(1, _NODES))]
        for node, edges in zip(nodes, self.begin, strict=False):
            for one in cast(nn.ModuleList, edges):
                one(node, nodes)
        return nodes[-1]


class StackedResidualBlock(nn.Module):
    """:class:`.ResidualBlock` of all networks.

    Args:
        blocks: of the networks, in their order.
        layout: of the feature maps.
    """

    def __init__(self, blocks: Sequence[ResidualBlock], layout: Layout) -> None:
        super().__init__()
        networks = range(len(blocks))
        self.conv_a = StackedReluConvBn([block.conv_a for block in blocks], networks, layout)
        self.conv_b = StackedReluConvBn([block.conv_b for block in blocks], networks, layout, overwrites=True)
        self.shortcut = StackedConv2d([cast(nn.Conv2d, block.shortcut[1]) for block in blocks], networks, layout)

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.avg_pool2d(x.flatten(0, 1), 2, stride=2, ceil_mode=True)
        shortcut = self.shortcut(maps.view(*x.shape[:3], *maps.shape[-2:]))
        return shortcut + self.conv_b(self.conv_a(x))


class NasBench201Stack(LayeredStack):
    """Networks of NAS-Bench-201 with one skeleton, and cells and numbers of classes of their own.

    Args:
        networks: the single ones, whose weights are taken over.
        layout: of the feature maps.
    """

    def __init__(self, networks: Sequence[NasBench201Network], layout: Layout) -> None:
        super().__init__()
        numbers, self.layout = range(len(networks)), layout
        self.stem = StackedConv2d([cast(nn.Conv2d, one.stem[0]) for one in networks], numbers, layout)
        self.stem_norm = StackedBatchNorm2d([cast(nn.BatchNorm2d, one.stem[1]) for one in networks], numbers, layout)
        body: list[nn.Module] = []
        for parts in zip(*(one.body for one in networks), strict=True):
            if isinstance(parts[0], Cell):
                body.append(StackedCell([cast(Cell, part) for part in parts], layout))
            else:
                body.append(StackedResidualBlock([cast(ResidualBlock, part) for part in parts], layout))
        self.body = nn.Sequential(*body)
        self.head_norm = StackedBatchNorm2d([cast(nn.BatchNorm2d, one.head[0]) for one in networks], numbers, layout)
        self.head = StackedLinear([cast(nn.Linear, one.head[4]) for one in networks])

    def forward(self, images: Tensor) -> Tensor:
        x = self.body(self.stem_norm(self.stem(self.layout.placed(images))))
        return self.head(self.layout.pooled(functional.relu(self.head_norm(x))))
