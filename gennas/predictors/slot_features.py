"""What each slot of an arch holds: operations by position, and the numbers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gennas.arch import Arch
from gennas.predictors.features import dataflow_between_ends, live
from gennas.spaces import Space
from gennas.spaces.network_part import network_space

#: Random archs that show where slots lie.
PROBES = 64


@dataclass(frozen=True)
class SlotColumns:
    """Numbers that say what each slot of some archs holds.

    Attributes:
        values: ``(N, c)``. A number runs from 0 to 1 over a slot's choices; in other columns, two operations of a slot
            are at distance 1 from each other.
        slot_of: ``(c,)`` which slot a column is of, counted from 0 without gaps.
    """

    values: np.ndarray
    slot_of: np.ndarray

    def varying(self, rows: np.ndarray) -> SlotColumns | None:
        """The columns that are not constant over some rows; None if all are."""
        varies = np.ptp(self.values[rows], axis=0) > 0
        if not varies.any():
            return None
        return SlotColumns(self.values[:, varies], np.unique(self.slot_of[varies], return_inverse=True)[1])


class SlotFeatures:
    """Features of single slots, which :class:`gennas.predictors.features.GraphFeatures` does not have.

    A slot whose operations are numbers (``Template.values``) has a column for these, on a logarithmic scale if they are
    positive and spread widely. Beside it there is a column for each operation that is no number, one for "some number",
    and one for a slot that is empty or lies on no path from input to output.

    Operations that are no numbers have columns only where their position means something that the graph does not tell:
    in slots that lie on every path, as in a chain, or on none, as a resolution or a choice of a recipe does. Of
    parallel slots the paths tell more, and more columns blur it, unless the space has
    :meth:`gennas.spaces.Space.views` in place of paths. There are no columns at all of slots that are interchangeable.

    Args:
        space: space of the archs.

    Attributes:
        slot_of: ``(c,)`` see :class:`SlotColumns`; columns that are the same for all archs are included.
    """

    def __init__(self, space: Space) -> None:
        self.space, template = space, space.template
        is_fixed = space.slots_are_positions
        self._network = network_space(space)
        is_beside = np.arange(len(template.slots)) >= len(self._network.template.slots)
        has_numbers = np.nanmax(template.scaled_values, axis=1, initial=0.0) > 0
        self._is_setting, is_serial = self._places() if is_fixed else np.zeros((2, len(template.slots)), dtype=bool)
        self._is_setting = self._is_setting | is_beside
        describes_itself = bool(space.views(*space.arrays([space.sample(np.random.default_rng(0))])))
        counts = has_numbers | self._is_setting | is_serial | describes_itself
        self._slots = [slot for slot in template.free_slots if is_beside[slot] or (is_fixed and counts[slot])]
        # For each slot (k + 1, c): the columns of every operation, and of none.
        self._tables = [
            _columns(np.flatnonzero(template.allowed[slot]), template.scaled_values[slot], self._empty)
            for slot in self._slots
        ]
        self.slot_of = np.repeat(np.arange(len(self._slots)), [table.shape[1] for table in self._tables])

    def of(self, archs: Sequence[Arch]) -> SlotColumns:
        """The columns of some archs."""
        if not self._slots:
            return SlotColumns(np.zeros((len(archs), 0)), self.slot_of)
        ops, edges = self.space.arrays(archs)
        is_read = self._inner(self._between(ops, edges)[0] >= 0)
        # Settings lie on no path, and count all the same.
        ops = np.where((is_read | self._is_setting) & (ops != self._empty), ops, -1)
        parts = [table[ops[:, slot]] for slot, table in zip(self._slots, self._tables, strict=True)]
        return SlotColumns(np.hstack(parts), self.slot_of)

    @property
    def _empty(self) -> int:
        """Of the vocabulary, the operation of an empty slot; -1 if there is none."""
        return -1 if self.space.absent is None else self.space.template.vocabulary.index(self.space.absent)

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` booleans: which slots lie on no path of any random arch, and which on all paths whenever on one."""
        rng = np.random.default_rng(0)
        ops, edges = self._between(*self.space.arrays([self.space.sample(rng) for _ in range(PROBES)]))
        to, back = _path_counts(edges), _path_counts(edges.transpose(0, 2, 1)[:, ::-1, ::-1])[:, ::-1]
        is_read = ops >= 0
        on_all = to * back == to[:, -1:]
        return ~np.any(self._inner(is_read), axis=0), np.all(self._inner(on_all | ~is_read), axis=0)

    def _between(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(self._network.template.slots)
        return live(*dataflow_between_ends(self._network, ops[:, :n], edges[:, :n, :n]))

    def _inner(self, of_slots: np.ndarray) -> np.ndarray:
        """Those of the template's slots, without ends that were added; what is no part of the network lies nowhere."""
        n = len(self._network.template.slots)
        inner = of_slots[:, 1:-1] if of_slots.shape[1] > n else of_slots
        return np.pad(inner, ((0, 0), (0, len(self.space.template.slots) - n)))


def _path_counts(edges: np.ndarray) -> np.ndarray:
    """``(b, n)`` how many paths lead from the first slot to each."""
    counts = np.zeros(edges.shape[:2])
    counts[:, 0] = 1
    for slot in range(1, edges.shape[1]):
        counts[:, slot] = (edges[:, :slot, slot] * counts[:, :slot]).sum(axis=1)
    return counts


def _columns(allowed: np.ndarray, numbers: np.ndarray, empty: int) -> np.ndarray:
    """``(k + 1, c)`` a slot's columns for each operation; the last row is that of an empty or unread slot."""
    allowed = allowed[allowed != empty]
    none, is_number = len(numbers), ~np.isnan(numbers[allowed])
    table = [np.append(np.nan_to_num(numbers), 0.0)] if np.nanmax(numbers, initial=0.0) > 0 else []
    for members in ([none], allowed[is_number], *allowed[~is_number, None]):
        # Two operations that are no numbers differ in two columns.
        table.append(np.isin(np.arange(none + 1), members) * 0.5**0.5)
    return np.stack(table, 1)
