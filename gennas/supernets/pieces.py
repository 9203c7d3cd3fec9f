"""Pieces: the modules that networks of a space made of parts consist of, each with weights of its own in a supernet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from gennas.spaces import PartsSpace
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import PlannedStage, Ref, Source
from gennas.spaces.parts.network import Call, block_call, value_of
from gennas.spaces.parts.stage import Cell
from gennas.tasks import Task


@dataclass(frozen=True)
class Piece:
    """A block, or a part of one.

    Attributes:
        place: where it stands, e.g. ``stage1_block2``.
        call: builds it.
        width_arguments: which of the call's arguments by position are numbers of channels.
        prefix: of its tensors' names in the block.
        cell: that it begins; None where it begins none.
        edge: of a cell, whose operation it is; None where it is none.
    """

    place: str
    call: Call
    width_arguments: tuple[int, ...]
    prefix: str = ""
    cell: Cell | None = None
    edge: int | None = None

    def built(self) -> nn.Module:
        """The module."""
        return self.call.built()

    @property
    def widths(self) -> tuple[int, ...]:
        """Its numbers of channels."""
        return tuple(self.call.given[place] for place in self.width_arguments)

    @property
    def kind(self) -> tuple[object, ...]:
        """Its place and all that is chosen of it but channels."""
        others = (each for number, each in enumerate(self.call.given) if number not in self.width_arguments)
        return self.place, *others, *self.call.choices

    @property
    def text(self) -> str:
        """Its place and choices as a text."""
        given = [each for number, each in enumerate(self.call.given) if number not in self.width_arguments]
        words = [str(each) for each in given if isinstance(each, int | str)]
        return "_".join([self.place, *words, *(f"{name}{value}" for name, value in self.call.choices)])

    @classmethod
    def widest(cls, pieces: Sequence[Piece]) -> Piece:
        """The piece of a kind with the most channels of each argument."""
        first = pieces[0]
        given = list(first.call.given)
        for number, argument in enumerate(first.width_arguments):
            given[argument] = max(piece.widths[number] for piece in pieces)
        call = Call(first.call.make, tuple(given), first.call.choices, max(piece.call.channels for piece in pieces))
        return cls(first.place, call, first.width_arguments, first.prefix, first.cell, first.edge)


def pieces_of(space: PartsSpace, task: Task, channels: int, options: Mapping[int, Option]) -> Iterator[list[Piece]]:
    """The pieces of every block of an arch, and of its head, in their order.

    Args:
        space: builds them.
        task: of the head.
        channels: that the stem returns.
        options: of the active decisions.
    """
    for row, planned in enumerate(space.layout.stages):
        for number in range(int(value_of(planned.depth, options))):
            yield _block(space, planned, row, number, channels, options)
            channels = block_call(space, planned, number, channels, options).channels
    yield [_head(space, task, channels)]


def all_pieces(space: PartsSpace, task: Task, channels: int) -> Iterator[Piece]:
    """All pieces that the archs of a space are made of; some come more than once.

    Args:
        space: builds them.
        task: of the head.
        channels: that the stem returns.
    """
    entering: list[tuple[Source, int]] = [(channels, 1)]
    for row, planned in enumerate(space.layout.stages):
        block = planned.stage.block
        more = block.nodes if isinstance(block, Cell) and block.output == "concat" else 1
        leaving: list[tuple[Source, int]] = list(entering) if space.layout.least(planned.depth) == 0 else []
        before = entering
        for number, values in enumerate(planned.blocks):
            for source, times in before:
                decisions = [source, *values.values(), *([] if number else [planned.stride])]
                for options in _combinations(space, planned, decisions):
                    channels_in = int(value_of(source, options)) * times
                    yield from _block(space, planned, row, number, channels_in, options, every=True)
            before = [(values["channels"], more)]
            if number + 1 >= space.layout.least(planned.depth):
                leaving += before
        entering = list(dict.fromkeys(leaving))
    for source, times in entering:
        for options in _combinations(space, None, [source]):
            yield _head(space, task, int(value_of(source, options)) * times)


def _combinations(
    space: PartsSpace, planned: PlannedStage | None, sources: Sequence[Source]
) -> Iterator[dict[int, Option]]:
    """The options of what sources refer to; of the edges of a cell of ours the first, as they have pieces of their
    own."""
    decisions = dict.fromkeys(source.decision for source in sources if isinstance(source, Ref))
    first: dict[int, Option] = {}
    if planned is not None and planned.cell:
        if type(space).cell is PartsSpace.cell:
            first = {edge: space.layout.decisions[edge].choice.options[0] for edge in planned.cell}
        else:
            decisions |= dict.fromkeys(planned.cell)
    for found in itertools.product(*(space.layout.decisions[one].choice.options for one in decisions)):
        yield {**first, **dict(zip(decisions, found, strict=True))}


def _block(
    space: PartsSpace,
    planned: PlannedStage,
    row: int,
    number: int,
    channels: int,
    options: Mapping[int, Option],
    *,
    every: bool = False,
) -> list[Piece]:
    """The pieces of a block; of a cell those of all operations, if ``every`` is wanted."""
    place = f"stage{row + 1}_block{number + 1}"
    call = block_call(space, planned, number, channels, options)
    cell = planned.stage.block
    if not isinstance(cell, Cell):
        return [Piece(place, call, (0, 1))]
    if type(space).cell is not PartsSpace.cell:
        # What is a prefix of what in a user's own cell is not known.
        return [Piece(place, call, ())]
    _, words, channels_in, width, stride = call.given
    before = Call(space.transition, (channels_in, width, stride), (), width)
    # The channels of several nodes stand beside each other, so that the first ones are not the first of each.
    is_joined = cell.output == "concat"
    found = [Piece(f"{place}_before", before, (1,) if is_joined else (0, 1), "before.", cell)]
    for edge, word in enumerate(words):
        for operation in cell.choice.options if every else (word,):
            if operation != cell.absent:
                own = Call(space.operation, (operation, width), (), width)
                found.append(Piece(f"{place}_edge{edge}", own, (1,), f"layers.{edge}.", edge=edge))
    return found


def _head(space: PartsSpace, task: Task, channels: int) -> Piece:
    return Piece("head", Call(space.head, (channels, task), (), task.num_classes), (0,))
