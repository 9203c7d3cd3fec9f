"""The networks of TransNAS-Bench-101's micro space: a cell in the macro skeleton; needs only torch.

Reproduces layer for layer the skeleton of Duan et al. (CVPR 2021), as in https://github.com/yawen-d/TransNASBench.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gennas.spaces.nasbench201.network import Cell, ReluConvBn


@dataclass(frozen=True)
class CellShape:
    """What a cell of the skeleton, or an edge of it, gets and returns."""

    c_in: int
    c_out: int
    stride: int


def cell_shapes(channels: int, macro: int, cells: int) -> Iterator[CellShape]:
    """The cells of a skeleton, in their order.

    Args:
        channels: that the stem returns.
        macro: a digit per module: 1 keeps channels and resolution, 2 doubles the channels, 3 halves the resolution,
            4 does both.
        cells: per module; the first of them changes what the module changes.
    """
    for code in str(macro):
        c_in, channels = channels, 2 * channels if code in "24" else channels
        yield CellShape(c_in, channels, 2 if code in "34" else 1)
        for _ in range(cells - 1):
            yield CellShape(channels, channels, 1)


class FactorizedReduce(nn.Module):
    """The skip connection where shapes change: two strided 1x1 convolutions, the second shifted by one pixel."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_a = nn.Conv2d(c_in, c_out // 2, 1, stride, bias=False)
        self.conv_b = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.conv_a(x), self.conv_b(shifted)], dim=1))


def operation(op: str, shape: CellShape) -> nn.Module:
    """The module of an edge that changes channels and resolution as ``shape`` says."""
    if op == "nor_conv_1x1":
        return ReluConvBn(shape.c_in, shape.c_out, 1, shape.stride)
    if op == "nor_conv_3x3":
        return ReluConvBn(shape.c_in, shape.c_out, 3, shape.stride)
    if op == "skip_connect" and (shape.stride != 1 or shape.c_in != shape.c_out):
        return FactorizedReduce(shape.c_in, shape.c_out, shape.stride)
    return nn.Identity()


class MicroCell(Cell):
    """One cell: ``(b, c_in, h, w) -> (b, c_out, ceil(h / stride), ceil(w / stride))``.

    Args:
        ops: the six operations, in the order of the notation.
        shape: of the cell, and of its edges from the input.
    """

    def __init__(self, ops: Sequence[str], shape: CellShape) -> None:
        inner = CellShape(shape.c_out, shape.c_out, 1)
        pairs = zip(ops, self.edges, strict=True)
        super().__init__(ops, (operation(op, inner if source else shape) for op, (source, _) in pairs))
        self.shape = shape

    def _nothing(self, x: Tensor) -> Tensor:
        stride = self.shape.stride
        return torch.zeros_like(x[:, :1, ::stride, ::stride]).expand(-1, self.shape.c_out, -1, -1)


def stem(in_channels: int, channels: int) -> nn.Sequential:
    """Two 3x3 convolutions of stride 2: ``(b, in_channels, h, w) -> (b, channels, h / 4, w / 4)``, rounded up."""
    narrow = max(channels // 2, 1)
    return nn.Sequential(
        nn.Conv2d(in_channels, narrow, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(narrow),
        ReluConvBn(narrow, channels, 3, 2),
    )


def head(channels: int, classes: int) -> nn.Sequential:
    """The benchmark's head for classification: ``(b, channels, h, w) -> (b, classes)`` logits."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class TransNasMicroNetwork(nn.Module):
    """A whole network: ``(batch, in_channels, height, width) -> (batch, classes)`` logits.

    Args:
        ops: the six operations of the cell, in the order of the notation.
        shapes: of the cells, see :func:`cell_shapes`.
        in_channels: channels of the images.
        classes: number of classes.
    """

    def __init__(self, ops: Sequence[str], shapes: Sequence[CellShape], in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = stem(in_channels, shapes[0].c_in)
        self.body = nn.Sequential(*(MicroCell(ops, shape) for shape in shapes))
        self.head = head(shapes[-1].c_out, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images)))
