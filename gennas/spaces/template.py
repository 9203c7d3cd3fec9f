"""Template: the slots, operations and edges that all archs of a space share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Numbers of a slot whose largest is so many times the smallest count by their logarithms, as widths do.
LOG_RATIO = 4.0
#: Kinds of a pair of slots ``i < j``: never an edge, always an edge, or a choice.
FORBIDDEN, FIXED, FREE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Template:
    """The typed DAG that all archs of a space share, and all that the diffusion knows of the space.

    Attributes:
        slots: ``n`` slot names in topological order.
        vocabulary: ``k`` operation names.
        allowed: ``(n, k)`` boolean, which operations a slot may have.
        edges: ``(n, n)`` int8, FORBIDDEN, FIXED or FREE for every pair ``i < j``; FORBIDDEN elsewhere.
        values: ``(n, k)`` the numbers that operations stand for in a slot, such as kernel sizes or widths, so that
            their order and distance count; NaN for an operation that is no number. None: no operation is one.

    Raises:
        ValueError: shapes disagree, a slot allows no operation, or an edge goes backwards.
    """

    slots: tuple[str, ...]
    vocabulary: tuple[str, ...]
    allowed: np.ndarray
    edges: np.ndarray
    values: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, k = len(self.slots), len(self.vocabulary)
        if self.allowed.shape != (n, k) or self.edges.shape != (n, n):
            raise ValueError(
                f"with {n} slots and {k} operations, allowed must have shape {(n, k)} and edges {(n, n)}; "
                f"got {self.allowed.shape} and {self.edges.shape}"
            )
        if self.values is not None and self.values.shape != (n, k):
            raise ValueError(f"values must have shape {(n, k)}; got {self.values.shape}")
        if not self.allowed.any(axis=1).all():
            empty = [slot for slot, row in zip(self.slots, self.allowed, strict=True) if not row.any()]
            raise ValueError(f"slots without any allowed operation: {empty}")
        if np.tril(self.edges).any():
            raise ValueError("edges must go from an earlier slot to a later one: only the upper triangle may be set")

    @cached_property
    def free_slots(self) -> tuple[int, ...]:
        """Indices of the slots with more than one allowed operation."""
        return tuple(int(i) for i in np.flatnonzero(self.allowed.sum(axis=1) > 1))

    @cached_property
    def operations(self) -> tuple[tuple[str, ...], ...]:
        """The allowed operations of every slot."""
        return tuple(
            tuple(name for name, ok in zip(self.vocabulary, row, strict=True) if ok) for row in self.allowed.tolist()
        )

    @cached_property
    def scaled_values(self) -> np.ndarray:
        """``(n, k)`` :attr:`values`, from 0 to 1 over the allowed operations of each slot; NaN where there are none.

        Logarithms are scaled where all are positive and the largest is at least 4 times the smallest. Numbers of a slot
        that are all equal are 0.
        """
        scaled = np.full(self.allowed.shape, np.nan)
        if self.values is None:
            return scaled
        for slot, (numbers, allowed) in enumerate(zip(self.values, self.allowed, strict=True)):
            known = allowed & ~np.isnan(numbers)
            of = numbers[known]
            if len(of):
                of = np.log(of) if of.min() > 0 and of.max() >= LOG_RATIO * of.min() else of
                scaled[slot, known] = (of - of.min()) / max(np.ptp(of), 1e-12)
        return scaled

    @cached_property
    def places(self) -> np.ndarray:
        """``(n, k)`` the place of every operation among those that its slot allows; meaningless for others."""
        return self.allowed.cumsum(axis=1) - 1

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
        """Indices of the slots that can have no incoming edge."""
        return tuple(int(i) for i in np.flatnonzero(self.edges.max(axis=0) == FORBIDDEN))

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """Indices of the slots that can have no outgoing edge."""
        return tuple(int(i) for i in np.flatnonzero(self.edges.max(axis=1) == FORBIDDEN))

    @cached_property
    def is_chain(self) -> bool:
        """Whether slots follow each other in a row, so that nothing but their operations is to be decided."""
        fixed = tuple((slot, slot + 1) for slot in range(len(self.slots) - 1))
        return not self.free_edges and self.fixed_edges == fixed

    @property
    def decisions(self) -> int:
        """Number of decisions that make an arch: free slots plus free edges."""
        return len(self.free_slots) + len(self.free_edges)
