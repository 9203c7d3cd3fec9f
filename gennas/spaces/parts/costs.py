"""Costs of archs that are composed of parts, counted block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from gennas.errors import InvalidInputError
from gennas.spaces.counting import Counts, count
from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.layout import Layout, PlannedStage, Ref
from gennas.spaces.parts.network import Call, block_call, calls
from gennas.spaces.parts.stage import Cell

if TYPE_CHECKING:
    from gennas.spaces.parts.space import PartsSpace
    from gennas.tasks import Task

#: Blocks with more combinations of options are not tabulated.
MOST_COMBINATIONS = 5_000


@dataclass(frozen=True)
class _Sum:
    """The parameters and multiply-adds of a block as a sum.

    Attributes:
        constant: ``(2,)`` with the cheapest option of every decision, or without any edge.
        shares: ``(2, options)`` of every decision, added to it.
        shape: of the output.
        channels: of the output.
    """

    constant: np.ndarray
    shares: list[np.ndarray]
    shape: tuple[int, ...]
    channels: int


class BlockCosts:
    """Counts the modules of networks for one task; equal modules on equal inputs are counted once.

    Args:
        space: builds the modules.
        layout: of the space.
        task: sizes the networks.
    """

    def __init__(self, space: PartsSpace, layout: Layout, task: Task) -> None:
        self.space, self.layout, self.task = space, layout, task
        self._counts: dict[tuple[object, tuple[int, ...]], Counts] = {}
        _, self.channels = space.stem(task)

    def of(self, options: Mapping[int, Option]) -> tuple[int, float]:
        """Parameters and multiply-adds of the network with these options of the active decisions."""
        found = self.counts(options)
        return sum(part.params for part in found), sum(part.macs for part in found)

    def counts(self, options: Mapping[int, Option]) -> list[Counts]:
        """The counts of the stem, of every block, and of the head."""
        found, width = [self._stem(options)], self.channels
        for call in calls(self.space, self.layout, options, self.channels):
            found.append(self._block(call, found[-1].shape))
            width = call.channels
        shape = found[-1].shape
        head = self._counted(("head", width), lambda: self.space.head(width, self.task), shape, "head()")
        if head.shape != (self.task.num_classes,):
            raise self._error("head()", shape, head.shape, f"logits of {self.task.num_classes} classes")
        return [*found, head]

    def _stem(self, options: Mapping[int, Option]) -> Counts:
        shape, size = tuple(self.task.input_shape), self.layout.size
        if size is not None:
            side = int(options[size.decision] if isinstance(size, Ref) else size)
            shape = (shape[0], side, side)
        stem = self._counted(("stem",), lambda: self.space.stem(self.task)[0], shape, "stem()")
        if len(stem.shape) == 3 and stem.shape[0] != self.channels:
            raise self._error("stem()", shape, stem.shape, f"the {self.channels} channels it states")
        return stem

    def _block(self, call: Call, shape: tuple[int, ...]) -> Counts:
        found = self._counted((call.make, call.given, call.choices), call.built, shape, call)
        # What is no image, such as a sequence of tokens, has its channels elsewhere.
        if len(found.shape) == 3 and found.shape[0] != call.channels:
            raise self._error(str(call), shape, found.shape, f"{call.channels} channels")
        return found

    def _counted(self, identity: object, make: Callable[[], nn.Module], shape: tuple[int, ...], what: object) -> Counts:
        key = (identity, shape)
        if key not in self._counts:
            try:
                self._counts[key] = count(make, shape, self.space.counted_beside)
            except (RuntimeError, TypeError, ValueError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise InvalidInputError(
                    f"space {self.space.name!r}: the module of {what} fails on an input of shape {shape}: {reason}"
                ) from error
        return self._counts[key]

    def _error(self, what: str, shape: tuple[int, ...], found: tuple[int, ...], expected: str) -> InvalidInputError:
        return InvalidInputError(
            f"space {self.space.name!r}: the module of {what} makes {found} of an input of shape {shape}; "
            f"expected {expected}."
        )

    def tables(self) -> dict[str, tuple[float, np.ndarray]] | None:
        """Costs as an exact sum over slots (:meth:`gennas.spaces.Space.slot_costs`); None where they are no such sum.

        They are one where resolution, widths and strides are fixed, and the cost of every block is a sum over its own
        decisions.
        """
        template = self.layout.template
        sources = [self.layout.size, *(stage.stride for stage in self.layout.stages)]
        sources += [block["channels"] for stage in self.layout.stages for block in stage.blocks]
        if any(isinstance(source, Ref) for source in sources):
            return None
        base = np.zeros(2)
        table = np.zeros((2, len(template.slots), len(template.vocabulary)))
        stem = self._stem({})
        base += (stem.params, stem.macs)
        shape, channels = stem.shape, self.channels
        for planned in self.layout.stages:
            after = self._add_stage(planned, shape, channels, base, table)
            if after is None:
                return None
            shape, channels = after
        head = self._counted(("head", channels), lambda: self.space.head(channels, self.task), shape, "head()")
        base += (head.params, head.macs)
        return {name: (float(base[row]) / 1e6, table[row] / 1e6) for row, name in enumerate(("params_m", "macs_m"))}

    def _add_stage(
        self, planned: PlannedStage, shape: tuple[int, ...], channels: int, base: np.ndarray, table: np.ndarray
    ) -> tuple[tuple[int, ...], int] | None:
        """Adds the costs of a stage; returns the shape and the channels after it, or None where costs are no sum."""
        for number, block in enumerate(planned.blocks):
            refs = planned.cell or [source.decision for source in block.values() if isinstance(source, Ref)]
            own = list(dict.fromkeys(refs))
            slots = self._slots_where_present(planned, number, own)
            found = (self._edge_sums if planned.cell else self._block_sums)(planned, number, own, shape, channels)
            if slots is None or found is None:
                return None
            for decision, share in zip(own, found.shares, strict=True):
                table[:, decision + 1, self._columns(decision)] += share
            if slots:
                decision, columns = slots
                table[:, decision + 1, columns] += found.constant[:, None]
            elif slots == ():
                base += found.constant
            if not slots:
                shape, channels = found.shape, found.channels
            elif (found.shape, found.channels) != (shape, channels):
                return None
        return shape, channels

    def _slots_where_present(
        self, planned: PlannedStage, number: int, own: list[int]
    ) -> tuple[()] | tuple[int, list[int]] | None:
        """The decision, and its operations, that say that a block is present; () for one that always is.

        None where a decision of the block belongs to other blocks as well, so that its costs are a product.
        """
        depth = planned.depth
        if not isinstance(depth, Ref):
            return ()
        options = self.layout.decisions[depth.decision].choice.options
        if min(map(int, options)) > number:
            return ()
        if any(list(self.layout.conditions(decision)) != [(depth, number)] for decision in own):
            return None
        if own:
            return own[0], self._columns(own[0])
        columns = zip(self._columns(depth.decision), options, strict=True)
        return depth.decision, [column for column, option in columns if int(option) > number]

    def _columns(self, decision: int) -> list[int]:
        """The columns of a decision's options in a table."""
        vocabulary = self.layout.template.vocabulary
        return [vocabulary.index(token) for token in self.layout.decisions[decision].tokens]

    def _edge_sums(
        self, planned: PlannedStage, number: int, own: list[int], shape: tuple[int, ...], channels: int
    ) -> _Sum | None:
        """The costs of a cell: of what comes before it, and of the operation of every edge."""
        cell, given = planned.stage.block, (channels, *self._fixed(planned, number))
        if not (isinstance(cell, Cell) and self.space.sums_cells):
            return None
        width = given[1]
        before = self._block(Call(self.space.transition, given, (), width), shape)
        share = np.zeros((2, len(cell.choice.options)))
        for column, word in enumerate(map(str, cell.choice.options)):
            if word != cell.absent:
                found = self._block(Call(self.space.operation, (word, width), (), width), before.shape)
                share[:, column] = found.params, found.macs
        after = width * (cell.nodes if cell.output == "concat" else 1)
        constant = np.array([before.params, before.macs])
        return _Sum(constant, [share] * len(own), (after, *before.shape[1:]), after)

    @staticmethod
    def _fixed(planned: PlannedStage, number: int) -> tuple[int, int]:
        """Channels and stride of a block, neither of which is a choice."""
        width, stride = planned.blocks[number]["channels"], planned.stride
        assert isinstance(width, int)
        assert isinstance(stride, int)
        return width, 1 if number else stride

    def _block_sums(
        self, planned: PlannedStage, number: int, own: list[int], shape: tuple[int, ...], channels: int
    ) -> _Sum | None:
        """The costs of a block for all combinations of its options, as a sum; None where they are none."""
        options = [self.layout.decisions[decision].choice.options for decision in own]
        sizes = tuple(map(len, options))
        if prod(sizes) > MOST_COMBINATIONS:
            return None
        joint, shapes = np.zeros((2, *sizes)), set()
        for row in np.ndindex(*sizes):
            chosen = dict(zip(own, (values[i] for values, i in zip(options, row, strict=True)), strict=True))
            call = block_call(self.space, planned, number, channels, chosen)
            found = self._block(call, shape)
            joint[(slice(None), *row)] = found.params, found.macs
            shapes.add((found.shape, call.channels))
        if len(shapes) > 1:
            return None
        constant = joint.reshape(2, -1)[:, 0]
        shares = []
        for place in range(len(sizes)):
            share = joint
            for axis in (other + 1 for other in reversed(range(len(sizes))) if other != place):
                share = np.asarray(share.take(0, axis=axis))
            shares.append(share - constant[:, None])
        total = constant.reshape(2, *[1] * len(sizes)) + sum(
            share.reshape(2, *[-1 if other == place else 1 for other in range(len(sizes))])
            for place, share in enumerate(shares)
        )
        # Counts are whole numbers: sums of them are exact.
        if not np.array_equal(total, joint):
            return None
        least = [share.min(axis=1) for share in shares]
        shares = [share - lowest[:, None] for share, lowest in zip(shares, least, strict=True)]
        return _Sum(constant + sum(least), shares, *shapes.pop())
