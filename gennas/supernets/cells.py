"""CellSupernet: NAS-Bench-201's network, every edge of whose cells holds all operations."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.spaces.nasbench201.network import Cell, NasBench201Network, operation
from gennas.spaces.nasbench201.space import NasBench201
from gennas.supernets.base import Supernet
from gennas.supernets.statistics import keep_no_statistics
from gennas.tasks import Task


class MixedCell(nn.Module):
    """A cell whose edges hold all operations, of which an arch uses one each: ``(b, c, h, w) -> (b, c, h, w)``.

    Args:
        operations: of the space.
        channels: of all nodes.
    """

    def __init__(self, operations: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict({op: operation(op, channels) for op in operations if op != "none"}) for _ in Cell.edges
        )

    def chosen(self, ops: tuple[str, ...]) -> Cell:
        """The cell of an arch, with the layers of this one themselves."""
        layers = (
            nn.Identity() if op == "none" else cast(nn.ModuleDict, own)[op]
            for op, own in zip(ops, self.layers, strict=True)
        )
        return Cell(ops, layers)

    def forward(self, x: Tensor, ops: tuple[str, ...]) -> Tensor:
        out: Tensor = self.chosen(ops)(x)
        return out


class CellSupernet(Supernet):
    """The network of all cells of NAS-Bench-201; an arch's path has one operation on each edge of every cell.

    Single paths of it are trained one at a time, as by Guo et al., "Single Path One-Shot Neural Architecture Search
    with Uniform Sampling", ECCV 2020, https://arxiv.org/abs/1904.00420.

    Args:
        space: of the archs, with its skeleton.
        task: what the networks are for.
    """

    space: NasBench201

    def __init__(self, space: NasBench201, task: Task) -> None:
        super().__init__()
        self.space, self.task = space, task
        first = space.arch(("input", *["nor_conv_3x3"] * len(Cell.edges), "output"))
        network = cast(NasBench201Network, space.build(first, task))
        self.stem, self.head = network.stem, network.head
        widths = (width for width in (1, 2, 4) for _ in range(space.cells))
        self.body = nn.ModuleList(
            MixedCell(space.operations, space.channels * next(widths)) if isinstance(module, Cell) else module
            for module in network.body
        )
        keep_no_statistics(self)

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        x, ops = self.stem(x), arch.ops[1:-1]
        for module in self.body:
            x = module(x, ops) if isinstance(module, MixedCell) else module(x)
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        network, ops = cast(NasBench201Network, self.space.build(arch, task or self.task)), arch.ops[1:-1]
        network.stem.load_state_dict(self.stem.state_dict())
        network.head.load_state_dict(self.head.state_dict())
        for module, own in zip(network.body, self.body, strict=True):
            module.load_state_dict((own.chosen(ops) if isinstance(own, MixedCell) else own).state_dict())
        return network.to(next(self.parameters()).device).train(self.training)
