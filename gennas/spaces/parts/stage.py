"""What a body is made of: Stage, Cell and Resize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from gennas.errors import InvalidInputError
from gennas.spaces.parts.choice import Choice, Option

if TYPE_CHECKING:
    from torch import nn

#: What a network is built with in place of a choice.
Value = Choice | Option
#: Arguments that every block gets beside its choices.
GIVEN = ("channels_in", "channels", "stride")


class Cell:
    """A cell: a small graph whose every edge carries an operation, and whose nodes sum what comes in.

    The same object is the same cell wherever it is named, as in NAS-Bench-201; for cells that differ by stage, make one
    for each.

    Args:
        name: letters and underscores; also begins the names of its slots.
        nodes: computed nodes; each may take from the cell's input and all nodes before it.
        operations: distinct words. :meth:`gennas.spaces.PartsSpace.operation` builds them.
        absent: the operation that stands for no edge.
        inputs: how many edges of every node are not ``absent`` (fewer where a node has not so many before it);
            by default any number.
        output: the last node, the sum of all computed nodes, or all of them concatenated.

    Raises:
        InvalidInputError: numbers that make no cell, or ``inputs`` without ``absent``.
    """

    def __init__(
        self,
        name: str,
        nodes: int,
        operations: Sequence[str],
        *,
        absent: str | None = None,
        inputs: int | None = None,
        output: Literal["last", "sum", "concat"] = "last",
    ) -> None:
        self.choice = Choice(name, operations)
        if self.choice.is_number:
            raise InvalidInputError(f"cell {name!r} has operations {tuple(operations)!r}; expected words.")
        if not 1 <= nodes <= 12:
            raise InvalidInputError(f"cell {name!r} has {nodes} nodes; expected 1 to 12.")
        if absent is not None and absent not in operations:
            raise InvalidInputError(f"cell {name!r}: absent is {absent!r}, which is none of its operations.")
        if inputs is not None and (absent is None or not 1 <= inputs <= nodes):
            raise InvalidInputError(
                f"cell {name!r} has {inputs} inputs per node and absent={absent!r}; expected 1 to {nodes} inputs, and "
                "the operation that stands for no edge."
            )
        if output not in ("last", "sum", "concat"):
            raise InvalidInputError(f"cell {name!r} has output {output!r}; expected 'last', 'sum' or 'concat'.")
        self.name, self.nodes, self.absent, self.inputs, self.output = name, nodes, absent, inputs, output
        #: Pairs (source, target), by target; node 0 is the input.
        self.edges = tuple((source, target) for target in range(1, nodes + 1) for source in range(target))

    def is_output(self, node: int) -> bool:
        """Whether a node is part of the cell's output."""
        return node > 0 and (self.output != "last" or node == self.nodes)


class Resize:
    """Images are resized to ``size x size`` before the stem: a choice of the resolution.

    Args:
        size: a choice of sides in pixels, or one side.

    Raises:
        InvalidInputError: a side that is no positive integer, or a choice per stage or block.
    """

    def __init__(self, size: Value) -> None:
        _check_integers("resize: size", size, 1)
        if isinstance(size, Choice) and size.per != "space":
            raise InvalidInputError("resize: images are resized once; the choice cannot be made per stage or block.")
        self.size = size


class Stage:
    """Blocks in a row, all but the first with stride 1.

    Args:
        channels: output channels of every block.
        stride: of the first block.
        depth: number of blocks. Choices inside blocks that are absent are inactive: no part of the key.
        block: builds a block from ``(channels_in, channels, stride)`` and the values of ``choices``, by name; a
            :class:`Cell`; or None for the space's own ``block``.
        choices: of every block, by the name of an argument of ``block``; plain values are handed on.

    Raises:
        InvalidInputError: a depth that is no number of blocks, or a choice named like a given argument.
    """

    def __init__(
        self,
        channels: Value,
        stride: Value = 1,
        depth: Value = 1,
        *,
        block: Callable[..., nn.Module] | Cell | None = None,
        **choices: Value,
    ) -> None:
        for name in choices:
            if name in GIVEN:
                raise InvalidInputError(f"stage: {name!r} cannot be a choice of a block, which gets it anyway.")
        if isinstance(block, Cell) and choices:
            raise InvalidInputError(f"stage: cell {block.name!r} takes no choices; got {', '.join(choices)}.")
        _check_integers("stage: channels", channels, 1)
        _check_integers("stage: stride", stride, 1)
        # A stage may be left out by choice, but one that is never there decides nothing.
        _check_integers("stage: depth", depth, 0 if isinstance(depth, Choice) else 1)
        for name, value in choices.items():
            try:
                hash(value)
            except TypeError:
                raise InvalidInputError(
                    f"stage: {name} is {value!r}; expected a Choice, or a value that does not change, such as a tuple "
                    "in place of a list."
                ) from None
        if any(isinstance(value, Choice) and value.per == "block" for value in (stride, depth)):
            raise InvalidInputError("stage: stride and depth are of the whole stage; they cannot be chosen per block.")
        self.channels, self.stride, self.depth = channels, stride, depth
        self.block, self.choices = block, choices

    @property
    def deepest(self) -> int:
        """Its greatest number of blocks."""
        return max(map(int, self.depth.options)) if isinstance(self.depth, Choice) else int(self.depth)


def _check_integers(what: str, value: Value, least: int) -> None:
    for option in value.options if isinstance(value, Choice) else (value,):
        if not isinstance(option, int) or isinstance(option, bool) or option < least:
            raise InvalidInputError(f"{what} is {option!r}; expected integers from {least}.")
