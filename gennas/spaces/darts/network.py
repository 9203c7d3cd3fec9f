"""Networks of normal and reduction cells, for small and for large images; needs only torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gennas.spaces.darts.cells import Cell
from gennas.spaces.darts.operations import FactorizedReduce, operation, relu_conv_norm

#: The stem of small images has so many times the channels of the first cells.
STEM = 3


@dataclass(frozen=True)
class Macro:
    """The network around the cells.

    Attributes:
        channels: of the first cells' nodes.
        cells: number of cells; those at a third and at two thirds of them reduce the resolution.
        large: whether the stem divides the resolution by 8, as for ImageNet; otherwise it keeps it.
        affine: see :func:`.operations.operation`.
        drop_path: probability at the end of a training that an operation of a cell is left out for an image.
        in_channels: channels of the images.
        classes: number of logits.
    """

    channels: int
    cells: int
    large: bool
    affine: bool
    drop_path: float
    in_channels: int
    classes: int

    def is_reduction(self, place: int) -> bool:
        """Whether a cell, counted from 0, reduces the resolution."""
        return place in (self.cells // 3, 2 * self.cells // 3)


class DropPath(nn.Module):
    """Leaves its input out for some images while training: ScheduledDropPath of Zoph et al., "Learning Transferable
    Architectures for Scalable Image Recognition", CVPR 2018.

    Args:
        most: the probability at the end of a training; it grows linearly from 0.

    Attributes:
        probability: now.
    """

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most, self.probability = most, 0.0

    def set_training_progress(self, share: float) -> None:
        """Is told before each epoch which share of the training is done."""
        self.probability = share * self.most

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        kept = 1 - self.probability
        return x * torch.bernoulli(x.new_full((len(x), 1, 1, 1), kept)) / kept

    def extra_repr(self) -> str:
        return f"{self.most:g}"


class CellNetwork(nn.Module):
    """A cell: ``(b, c_0, h_0, w_0), (b, c_1, h, w) -> (b, len(concat) * c, ceil(h / stride), ceil(w / stride))``.

    Args:
        cell: its nodes.
        concat: the nodes that make the output.
        before: brings the outputs of the two cells before to the cell's channels and resolution.
        channels: of every node.
        stride: 2 for a reduction cell, whose operations on the cells before halve the resolution.
        macro: the network around it.
    """

    def __init__(
        self, cell: Cell, concat: list[int], before: list[nn.Module], channels: int, stride: int, macro: Macro
    ) -> None:
        super().__init__()
        self.sources = [source for node in cell for source, _ in node]
        self.concat = concat
        self.before = nn.ModuleList(before)
        self.operations = nn.ModuleList(
            _with_drop_path(
                operation(op, channels, stride if source < len(before) else 1, macro.affine), macro.drop_path
            )
            for node in cell
            for source, op in node
        )

    def forward(self, last_but_one: Tensor, last: Tensor) -> Tensor:
        nodes = [self.before[0](last_but_one), self.before[1](last)]
        for place in range(0, len(self.sources), 2):
            first, second = self.sources[place : place + 2]
            nodes.append(self.operations[place](nodes[first]) + self.operations[place + 1](nodes[second]))
        return torch.cat([nodes[node] for node in self.concat], dim=1)


def _with_drop_path(module: nn.Module, probability: float) -> nn.Module:
    # As DARTS does it: identities are never left out.
    if not probability or isinstance(module, nn.Identity):
        return module
    return nn.Sequential(module, DropPath(probability))


class DartsNetwork(nn.Module):
    """The network of a pair of cells: ``(b, channels, height, width) -> (b, classes)`` logits.

    Args:
        normal: the cell that keeps the resolution.
        reduce: the cell that halves it.
        concats: the nodes that make the outputs of both.
        macro: the network around them.
    """

    def __init__(self, normal: Cell, reduce: Cell, concats: tuple[list[int], list[int]], macro: Macro) -> None:
        super().__init__()
        self.stems = nn.ModuleList(stems(macro))
        self.cells = nn.ModuleList()
        channels, before = macro.channels, stem_channels(macro)
        reduced = macro.large
        for place in range(macro.cells):
            reduces = macro.is_reduction(place)
            channels *= 2 if reduces else 1
            cell, concat = (reduce, concats[1]) if reduces else (normal, concats[0])
            entry = [entering(before[0], channels, reduced), entering(before[1], channels, False)]
            self.cells.append(CellNetwork(cell, concat, entry, channels, 2 if reduces else 1, macro))
            before, reduced = (before[1], len(concat) * channels), reduces
        self.head = head(before[1], macro)

    def forward(self, images: Tensor) -> Tensor:
        last_but_one = self.stems[0](images)
        last = self.stems[1](last_but_one) if len(self.stems) > 1 else last_but_one
        for cell in self.cells:
            last_but_one, last = last, cell(last_but_one, last)
        return self.head(last)


def stems(macro: Macro) -> list[nn.Module]:
    """What makes the inputs of the first cell of the images: one module, or for large images one after the other."""
    channels = macro.channels
    if not macro.large:
        return [
            nn.Sequential(
                nn.Conv2d(macro.in_channels, STEM * channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(STEM * channels),
            )
        ]
    half = max(channels // 2, 1)
    first = nn.Sequential(
        nn.Conv2d(macro.in_channels, half, 3, 2, 1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, channels, 3, 2, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
    return [first, relu_conv_norm(channels, channels, 3, 2)]


def stem_channels(macro: Macro) -> tuple[int, int]:
    """The channels of the inputs of the first cell."""
    width = macro.channels if macro.large else STEM * macro.channels
    return width, width


def entering(channels_in: int, channels: int, halves: bool) -> nn.Module:
    """What brings the output of an earlier cell to a cell's channels, and to its resolution where that was halved."""
    return FactorizedReduce(channels_in, channels, True) if halves else relu_conv_norm(channels_in, channels)


def head(channels: int, macro: Macro) -> nn.Sequential:
    """Global pooling and the classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, macro.classes))
