"""The networks of NAS-Bench-101: a cell in the macro skeleton; needs only torch.

Reproduces layer for layer the skeleton of Ying et al. (ICML 2019), section 2, and of the code published with it
(``model_builder.py``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvBnRelu(nn.Sequential):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
            # The published momentum is 0.003, for trainings of 17,000 steps; torch's suits short ones. Networks that
            # gennas evaluates depend on neither: see docs/decisions/batch_norm_momentum.md.
            nn.BatchNorm2d(c_out, eps=1e-5),
            nn.ReLU(),
        )


class Cell(nn.Module):
    """One cell: vertex 0 is the input, the last one the output.

    An inner vertex applies its operation to the sum of its inputs: other inner vertices, truncated to its own number
    of channels, and a projection of the cell's input. The output concatenates the inner vertices that feed it, and
    adds a projection of the input if there is an edge from the input to the output.

    Args:
        ops: the operations of the ``v - 2`` inner vertices.
        edges: pairs of vertices, numbered 0 to ``v - 1``.
        widths: channels of all ``v`` vertices.
    """

    def __init__(self, ops: Sequence[str], edges: Sequence[tuple[int, int]], widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.output = len(widths) - 1
        self.sources = [sorted(i for i, j in edges if j == vertex and i > 0) for vertex in range(len(widths))]
        self.projections = nn.ModuleDict(
            {str(j): ConvBnRelu(widths[0], widths[j], 1) for i, j in sorted(edges) if i == 0}
        )
        self.layers = nn.ModuleList(self._layer(op, width) for op, width in zip(ops, widths[1:-1], strict=True))

    @staticmethod
    def _layer(op: str, channels: int) -> nn.Module:
        if op == "conv3x3-bn-relu":
            return ConvBnRelu(channels, channels, 3)
        if op == "conv1x1-bn-relu":
            return ConvBnRelu(channels, channels, 1)
        return nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        projected = {int(vertex): layer(x) for vertex, layer in self.projections.items()}
        values = [x]
        for vertex, layer in enumerate(self.layers, start=1):
            width = self.widths[vertex]
            inputs = [
                values[source] if self.widths[source] == width else values[source][:, :width]
                for source in self.sources[vertex]
            ]
            inputs += [projected[vertex]] if vertex in projected else []
            values.append(layer(sum(inputs[1:], inputs[0])))
        parts = [values[source] for source in self.sources[self.output]]
        if not parts:
            return projected[self.output]
        output = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return output + projected[self.output] if self.output in projected else output


class NasBench101Network(nn.Module):
    """A whole network: ``(batch, in_channels, height, width) -> (batch, classes)`` logits.

    Args:
        ops: the operations of the cell's ``v - 2`` inner vertices.
        edges: pairs of vertices, numbered 0 (the input) to ``v - 1`` (the output).
        stacks: channels of the ``v`` vertices of every cell of every stack; pooling halves the image between stacks.
        in_channels: channels of the images.
        classes: number of classes.
    """

    def __init__(
        self,
        ops: Sequence[str],
        edges: Sequence[tuple[int, int]],
        stacks: Sequence[Sequence[Sequence[int]]],
        in_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.stem = ConvBnRelu(in_channels, stacks[0][0][0], 3)
        body: list[nn.Module] = []
        for number, stack in enumerate(stacks):
            if number:
                # ceil_mode pads odd sides at the end, as TensorFlow does.
                body.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
            body += [Cell(ops, edges, widths) for widths in stack]
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stacks[-1][-1][-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images)))
