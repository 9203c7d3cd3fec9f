"""The networks of NAS-Bench-201: a cell in the macro skeleton; needs only torch.

Reproduces layer for layer the skeleton of Dong and Yang (ICLR 2020), section 2.1 and figure 1.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class ReluConvBn(nn.Sequential):
    """ReLU, convolution without bias, batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )


class Cell(nn.Module):
    """One cell: node 0 is the input, every other node sums its incoming edges, and node 3 is the output.

    Args:
        ops: the six operations, in the order of the native notation.
        layers: the module of every edge; not used where the operation is ``none``.
    """

    edges = tuple((source, target) for target in range(1, 4) for source in range(target))

    def __init__(self, ops: Sequence[str], layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.ops = list(ops)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for node in range(1, 4):
            incoming = [
                layer(nodes[source])
                for (source, target), op, layer in zip(self.edges, self.ops, self.layers, strict=True)
                if target == node and op != "none"
            ]
            nodes.append(sum(incoming[1:], incoming[0]) if incoming else self._nothing(x))
        return nodes[-1]

    def _nothing(self, x: Tensor) -> Tensor:
        """The sum of no edges, given the cell's input."""
        return torch.zeros_like(x)


def operation(op: str, channels: int) -> nn.Module:
    """The module of an edge."""
    if op == "nor_conv_1x1":
        return ReluConvBn(channels, channels, 1)
    if op == "nor_conv_3x3":
        return ReluConvBn(channels, channels, 3)
    if op == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()


class ResidualBlock(nn.Module):
    """The published reduction block: two 3x3 convolutions, the first of stride 2, and a pooled shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReluConvBn(c_in, c_out, 3, stride=2)
        self.conv_b = ReluConvBn(c_out, c_out, 3)
        # With odd sides, ceil_mode gives the same size as the strided convolution.
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


class NasBench201Network(nn.Module):
    """A whole network: ``(batch, in_channels, height, width) -> (batch, classes)`` logits.

    Args:
        ops: the six operations of the cell, in the order of the native notation.
        channels: width C of the first stage.
        cells: cells N per stage.
        in_channels: channels of the images.
        classes: number of classes.
    """

    def __init__(self, ops: Sequence[str], channels: int, cells: int, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        widths = [channels, 2 * channels, 4 * channels]
        body: list[nn.Module] = []
        for stage, width in enumerate(widths):
            if stage:
                body.append(ResidualBlock(widths[stage - 1], width))
            body += [Cell(ops, (operation(op, width) for op in ops)) for _ in range(cells)]
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images)))
