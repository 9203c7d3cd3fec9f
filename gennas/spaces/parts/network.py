"""Networks of archs that are composed of parts: which modules follow each other; needs only torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import Layout, PlannedStage, Ref, Source
from gennas.spaces.parts.stage import Cell

if TYPE_CHECKING:
    from gennas.spaces.parts.space import PartsSpace


class Resized(nn.Module):
    """Resizes images to ``size x size``: ``(b, c, h, w) -> (b, c, size, size)``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(images, size=(self.size, self.size), mode="bilinear", antialias=False)

    def extra_repr(self) -> str:
        return f"{self.size}"


class CellNetwork(nn.Module):
    """A cell whose nodes sum the outputs of their edges: ``(b, c, h, w) -> (b, c or nodes * c, h, w)``.

    Args:
        cell: its edges.
        layers: the operation of every edge; None where there is none.
        before: what brings the input to the cell's channels and resolution.
    """

    def __init__(self, cell: Cell, layers: Sequence[nn.Module | None], before: nn.Module) -> None:
        super().__init__()
        self.before = before
        self.edges, self.nodes, self.output = cell.edges, cell.nodes, cell.output
        self.used = [layer is not None for layer in layers]
        self.layers = nn.ModuleList(nn.Identity() if layer is None else layer for layer in layers)

    def forward(self, x: Tensor) -> Tensor:
        nodes = [self.before(x)]
        for node in range(1, self.nodes + 1):
            incoming = [
                layer(nodes[source])
                for (source, target), layer, used in zip(self.edges, self.layers, self.used, strict=True)
                if target == node and used
            ]
            nodes.append(sum(incoming[1:], incoming[0]) if incoming else torch.zeros_like(nodes[0]))
        if self.output == "last":
            return nodes[-1]
        return torch.cat(nodes[1:], dim=1) if self.output == "concat" else sum(nodes[2:], nodes[1])


@dataclass(frozen=True)
class Call:
    """One module of a network: what builds it, with which arguments.

    Attributes:
        make: builds it.
        given: arguments by position.
        choices: arguments by name.
        channels: it is to return.
    """

    make: Callable[..., nn.Module]
    given: tuple[Any, ...]
    choices: tuple[tuple[str, Any], ...]
    channels: int

    def built(self) -> nn.Module:
        """The module."""
        return self.make(*self.given, **dict(self.choices))

    def __str__(self) -> str:
        name = getattr(self.make, "__name__", type(self.make).__name__)
        return f"{name}({', '.join([*map(repr, self.given), *(f'{name}={value!r}' for name, value in self.choices)])})"


def calls(space: PartsSpace, layout: Layout, options: Mapping[int, Option], channels: int) -> Iterator[Call]:
    """What builds the blocks of an arch, in their order.

    Args:
        space: has the builders.
        layout: of the space.
        options: of the active decisions.
        channels: that the stem returns.
    """
    for planned in layout.stages:
        for number in range(int(value_of(planned.depth, options))):
            call = block_call(space, planned, number, channels, options)
            yield call
            channels = call.channels


def block_call(
    space: PartsSpace, planned: PlannedStage, number: int, channels_in: int, options: Mapping[int, Option]
) -> Call:
    """What builds a block of a stage.

    Args:
        space: has the builders.
        planned: the stage.
        number: of the block, from 0.
        channels_in: channels of what it gets.
        options: of the decisions that the block refers to.
    """
    block, values = planned.stage.block, {}
    for name, source in planned.blocks[number].items():
        values[name] = value_of(source, options)
    channels = values.pop("channels")
    given = (channels_in, channels, 1 if number else value_of(planned.stride, options))
    if isinstance(block, Cell):
        words = tuple(options[decision] for decision in planned.cell)
        more = block.nodes if block.output == "concat" else 1
        return Call(space.cell, (block, words, *given), (), channels * more)
    return Call(space.block if block is None else block, given, tuple(values.items()), channels)


def value_of(source: Source, options: Mapping[int, Option]) -> Any:
    """An option of a decision, or the constant."""
    return options[source.decision] if isinstance(source, Ref) else source
