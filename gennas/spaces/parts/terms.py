"""Costs of archs that are composed of parts, as exact sums of terms of a few choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gennas.spaces.parts.choice import Option
from gennas.spaces.parts.costs import BlockCosts
from gennas.spaces.parts.layout import PlannedStage, Ref, Source
from gennas.spaces.parts.network import Call, value_of
from gennas.spaces.parts.patterns import Patterns
from gennas.spaces.parts.stage import Cell
from gennas.spaces.terms import CostTerm

if TYPE_CHECKING:
    from gennas.spaces.parts.space import PartsSpace

#: A term depends on at most so many choices, with at most so many combinations of operations.
MOST_CHOICES, MOST_COMBINATIONS = 4, 5_000
#: Random archs whose costs must be the sum of the terms, beside archs with every two operations of neighbouring slots.
CHECKED = 32
COSTS = ("params_m", "macs_m")
#: Parameters and multiply-adds of what a term stands for, given the options of an arch.
_Count = Callable[[dict[int, Option]], tuple[float, float]]


@dataclass(frozen=True)
class _Term:
    """What a term depends on, and how it is counted."""

    decisions: tuple[int, ...]
    count: _Count


class CostTerms:
    """The costs of all networks of a space, as sums.

    A block depends on its own choices, on the depth if it may be absent, and on what decides the channels and the
    resolution of its input.

    Args:
        space: builds the modules.
        patterns: its archs.
        costs: counts the modules.
    """

    def __init__(self, space: PartsSpace, patterns: Patterns, costs: BlockCosts) -> None:
        self.space, self.patterns, self.costs, self.layout = space, patterns, costs, patterns.layout

    @cached_property
    def terms(self) -> dict[str, tuple[float, list[CostTerm]]] | None:
        """Cost metric -> what is the same for all archs, and the terms; None where no such sum is exact.

        Terms are no sums where one depends on too many choices, or where a module costs what its arguments do not tell.
        """
        parts = list(self._parts())
        options = self.layout.template.allowed.sum(axis=1)
        for part in parts:
            combinations = prod(int(options[decision + 1]) for decision in part.decisions)
            if len(part.decisions) > MOST_CHOICES or combinations > MOST_COMBINATIONS:
                return None
        sums: dict[tuple[int, ...], np.ndarray] = {(): np.zeros(2)}
        for part in parts:
            slots = tuple(decision + 1 for decision in part.decisions)
            sums[slots] = sums.get(slots, 0) + self._tabulated(part, slots)
        base = sums.pop(())
        shares = {slots: self.patterns.shares(slots) for slots in sums}
        found = {
            name: (float(base[row]) / 1e6, [CostTerm(slots, sums[slots][row] / 1e6, shares[slots]) for slots in sums])
            for row, name in enumerate(COSTS)
        }
        return found if self._agrees(found) else None

    @cached_property
    def tables(self) -> dict[str, tuple[float, np.ndarray]] | None:
        """The costs as a sum over slots, see :meth:`gennas.spaces.Space.slot_costs`; None where a term has several."""
        if self.terms is None or any(len(term.slots) > 1 for _, terms in self.terms.values() for term in terms):
            return None
        template, found = self.layout.template, {}
        for name, (base, terms) in self.terms.items():
            table = np.zeros((len(template.slots), len(template.vocabulary)))
            for term in terms:
                table[term.slots[0], template.allowed[term.slots[0]]] += term.values
            found[name] = float(base), table
        return found

    def _tabulated(self, part: _Term, slots: tuple[int, ...]) -> np.ndarray:
        """``(2, ...)`` the counts of a term for all combinations that some arch has; see :class:`CostTerm`."""
        allowed = [np.flatnonzero(self.layout.template.allowed[slot]) for slot in slots]
        values = np.zeros((2, *map(len, allowed)))
        for place in np.argwhere(self.patterns.shares(slots) > 0).tolist():
            ops = np.array([own[at] for own, at in zip(allowed, place, strict=True)], dtype=np.int64)
            at: tuple[Any, ...] = (slice(None), *place)
            values[at] = part.count(self.space.options_of(self.patterns.completed(slots, ops)))
        return values

    def _agrees(self, found: dict[str, tuple[float, list[CostTerm]]]) -> bool:
        places = self.layout.template.places
        for ops in self._checked():
            expected = self.costs.of(self.space.options_of(ops))
            for name, whole in zip(COSTS, expected, strict=True):
                base, terms = found[name]
                total = base
                for term in terms:
                    slots = list(term.slots)
                    total += float(term.values[tuple(places[slots, ops[slots]])])
                if not np.isclose(total, whole / 1e6, rtol=1e-9):
                    return False
        return True

    def _checked(self) -> Iterator[np.ndarray]:
        """Archs at which the sums are held against whole networks."""
        rng = np.random.default_rng(0)
        for _ in range(CHECKED):
            yield self.patterns.draw(rng)
        for slot in range(1, len(self.layout.decisions)):
            slots = (slot, slot + 1)
            allowed = [np.flatnonzero(self.layout.template.allowed[each]) for each in slots]
            for first, second in np.argwhere(self.patterns.shares(slots) > 0).tolist():
                yield self.patterns.completed(slots, np.array([allowed[0][first], allowed[1][second]]))

    def _parts(self) -> Iterator[_Term]:
        """The stem, the blocks (of a cell: its edges), and the head."""
        size = _refs([self.layout.size])
        yield _Term(tuple(size), partial(self._entry, 0))
        channels: list[int] = []
        shape = size
        for row, planned in enumerate(self.layout.stages):
            yield from self._stage(row, planned, channels, shape)
            channels = self._channels_after(planned, channels)
            present = _refs([planned.depth]) if self.layout.least(planned.depth) == 0 else []
            shape = _distinct([*shape, *_refs([planned.stride]), *present])
        yield _Term(tuple(_distinct([*channels, *shape])), partial(self._entry, -1))

    def _stage(self, row: int, planned: PlannedStage, channels: list[int], shape: list[int]) -> Iterator[_Term]:
        depth, stride = _refs([planned.depth]), _refs([planned.stride])
        if planned.cell:
            around = _distinct([*depth, *stride, *channels, *shape, *_refs(b["channels"] for b in planned.blocks)])
            yield _Term(tuple(around), partial(self._of_cells, row, None))
            for edge in planned.cell:
                yield _Term(tuple(_distinct([*around, edge])), partial(self._of_cells, row, edge))
            return
        for number, block in enumerate(planned.blocks):
            own = _refs(block.values())
            present = depth if number >= self.layout.least(planned.depth) else []
            before = _refs([planned.blocks[number - 1]["channels"]]) if number else channels
            decisions = _distinct([*present, *own, *before, *shape, *stride])
            yield _Term(tuple(decisions), partial(self._of_block, row, number))

    def _channels_after(self, planned: PlannedStage, before: list[int]) -> list[int]:
        """The decisions that say how many channels leave a stage."""
        least, sources = self.layout.least(planned.depth), [block["channels"] for block in planned.blocks]
        last = sources[max(least - 1, 0) :]
        if not sources:
            return before
        if least and all(source == last[0] for source in last):
            return _refs(last[:1])
        return _distinct([*_refs([planned.depth]), *_refs(last), *([] if least else before)])

    def _entry(self, place: int, options: dict[int, Option]) -> tuple[float, float]:
        found = self.costs.counts(options)[place]
        return found.params, found.macs

    def _place(self, row: int, options: dict[int, Option]) -> tuple[int, int]:
        """Where the counts of a stage's first block stand, and how many blocks it has."""
        depths = [int(value_of(planned.depth, options)) for planned in self.layout.stages[: row + 1]]
        return 1 + sum(depths[:-1]), depths[-1]

    def _of_block(self, row: int, number: int, options: dict[int, Option]) -> tuple[float, float]:
        first, depth = self._place(row, options)
        return self._entry(first + number, options) if number < depth else (0, 0)

    def _of_cells(self, row: int, edge: int | None, options: dict[int, Option]) -> tuple[float, float]:
        """The counts of one edge of all cells of a stage, or of what comes before their edges."""
        planned = self.layout.stages[row]
        cell, (first, depth) = planned.stage.block, self._place(row, options)
        assert isinstance(cell, Cell)
        found = np.zeros(2)
        entering = self.costs.counts(options)[: first + depth]
        channels = self.costs.channels if first == 1 else entering[first - 1].shape[0]
        for number in range(depth):
            width = int(value_of(planned.blocks[number]["channels"], options))
            stride = 1 if number else int(value_of(planned.stride, options))
            call = Call(self.space.transition, (channels, width, stride), (), width)
            before = self.costs.of_call(call, entering[first - 1 + number].shape)
            if edge is None:
                found += before.params, before.macs
            elif options[edge] != cell.absent:
                call = Call(self.space.operation, (options[edge], width), (), width)
                own = self.costs.of_call(call, before.shape)
                found += own.params, own.macs
            channels = width * (cell.nodes if cell.output == "concat" else 1)
        return found[0], found[1]


def _refs(sources: Iterable[Source | None]) -> list[int]:
    return _distinct(source.decision for source in sources if isinstance(source, Ref))


def _distinct(decisions: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(decisions))
