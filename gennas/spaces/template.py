"""Template: the typed DAG that all archs of a space share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: What a template says about a pair of slots ``i < j``.
FORBIDDEN, FIXED, FREE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Template:
    """The typed DAG that all archs of a space share, and all that the diffusion ever sees of it.

    Attributes:
        slots: ``n`` slot names in topological order.
        vocabulary: ``k`` operation names.
        allowed: ``(n, k)`` boolean, which operations a slot may have.
        edges: ``(n, n)`` int8, FORBIDDEN, FIXED or FREE for every pair ``i < j``; FORBIDDEN elsewhere.
    """

    slots: tuple[str, ...]
    vocabulary: tuple[str, ...]
    allowed: np.ndarray
    edges: np.ndarray

    def __post_init__(self) -> None:
        n, k = len(self.slots), len(self.vocabulary)
        if self.allowed.shape != (n, k) or self.edges.shape != (n, n):
            raise ValueError(
                f"{n} slots and {k} operations need allowed {(n, k)} and edges {(n, n)}, "
                f"got {self.allowed.shape} and {self.edges.shape}"
            )
        if not self.allowed.any(axis=1).all():
            empty = [slot for slot, row in zip(self.slots, self.allowed, strict=True) if not row.any()]
            raise ValueError(f"slots without any allowed operation: {empty}")
        if np.tril(self.edges).any():
            raise ValueError("edges must go from an earlier slot to a later one")

    @cached_property
    def free_slots(self) -> tuple[int, ...]:
        """Indices of the slots with more than one allowed operation."""
        return tuple(int(i) for i in np.flatnonzero(self.allowed.sum(axis=1) > 1))

    @cached_property
    def operations(self) -> tuple[tuple[str, ...], ...]:
        """For every slot the operations that it may have."""
        return tuple(
            tuple(name for name, ok in zip(self.vocabulary, row, strict=True) if ok) for row in self.allowed.tolist()
        )

    @cached_property
    def free_edges(self) -> tuple[tuple[int, int], ...]:
        """The pairs ``(i, j)`` whose presence is a choice."""
        return tuple((int(i), int(j)) for i, j in np.argwhere(self.edges == FREE))

    @cached_property
    def fixed_edges(self) -> tuple[tuple[int, int], ...]:
        """The pairs ``(i, j)`` that are present in every arch."""
        return tuple((int(i), int(j)) for i, j in np.argwhere(self.edges == FIXED))

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """The slots to which no edge leads."""
        return tuple(int(i) for i in np.flatnonzero(self.edges.max(axis=0) == FORBIDDEN))

    @property
    def decisions(self) -> int:
        """How many choices make an arch: free slots plus free edges."""
        return len(self.free_slots) + len(self.free_edges)
