"""Archs as rows of decisions: what optimisers see that know categories and no graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.base import History
from gennas.search.mutation import cost_feasibility
from gennas.spaces import Space


class Decisions:
    """The ``D`` decisions of a space: the operation of every free slot, then whether each free edge is present.

    Args:
        space: whose archs are described.

    Attributes:
        names: of the decisions, as :meth:`gennas.spaces.Space.partial` writes them.
        sizes: ``(D,)`` how many choices each has; they are numbered from 0.
    """

    def __init__(self, space: Space) -> None:
        template = space.template
        self.space = space
        self._slots = list(template.free_slots)
        self._sources, self._targets = np.array(template.free_edges, dtype=int).reshape(-1, 2).T
        self._choices = [np.flatnonzero(template.allowed[slot]) for slot in self._slots]
        slots = template.slots
        self.names = (
            *(slots[slot] for slot in self._slots),
            *(f"{slots[source]}->{slots[target]}" for source, target in template.free_edges),
        )
        self.sizes = np.array([*map(len, self._choices), *[2] * len(template.free_edges)], dtype=int)

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, D)`` the number of the choice that was made of each decision."""
        ops, edges = self.space.arrays(archs)
        columns = [
            np.searchsorted(choices, ops[:, slot]) for slot, choices in zip(self._slots, self._choices, strict=True)
        ]
        present = edges[:, self._sources, self._targets].astype(int)
        return np.column_stack([*columns, present]) if columns else present

    def arch(self, row: Sequence[int]) -> Arch | None:
        """The arch of ``D`` decisions, as the space numbers its slots; None where it breaks a rule of the space.

        What other decisions leave without a meaning, such as those of an absent block, is set as the space sets it.
        """
        ops, edges = (part.copy() for part in self._fixed)
        for slot, choices, choice in zip(self._slots, self._choices, row, strict=False):
            ops[slot] = choices[choice]
        edges[self._sources, self._targets] = np.array(row[len(self._slots) :], dtype=bool)
        settled_ops, settled_edges = self.space.settled(ops[None], edges[None], None)
        if not len(settled_ops) or not self.space.keeps_rules(settled_ops[:1], settled_edges[:1])[0]:
            return None
        words = [self.space.template.vocabulary[op] for op in settled_ops[0]]
        arch = self.space.arch(words, [(int(i), int(j)) for i, j in np.argwhere(settled_edges[0])])
        return self.space.canonicalised([arch])[0]

    def proposable(self, row: Sequence[int], problem: Problem, history: History, chosen: Sequence[Arch]) -> Arch | None:
        """The arch of ``D`` decisions; where only archs of a table may be proposed, of those the nearest that is new.

        None where there is no such arch, or where it is not new or may not be proposed.

        Args:
            row: the decisions.
            problem: says what may be proposed.
            history: all archs so far.
            chosen: what is going to be proposed beside it.
        """
        arch, among = self.arch(row), problem.among
        if arch is None:
            return None
        near = [arch]
        if among is not None and arch not in among:
            near = among.nearest(arch, history.keys.union(other.key for other in chosen))
        return next(history.taken.beside(chosen).untaken(near, cost_feasibility(problem)), None)

    @cached_property
    def _fixed(self) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` operations and ``(n, n)`` edges, right wherever nothing is to be decided."""
        template = self.space.template
        edges = np.zeros(template.edges.shape, dtype=bool)
        for pair in template.fixed_edges:
            edges[pair] = True
        return template.allowed.argmax(1), edges
