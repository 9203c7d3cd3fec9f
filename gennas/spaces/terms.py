"""CostTerm: a part of a cost that depends on the operations of a few slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CostTerm:
    """A part of a cost, for every combination of the operations of ``r`` slots.

    Attributes:
        slots: ``r`` slots of the template.
        values: ``r`` axes, each of the operations that the template allows the slot, in the order of the vocabulary; in
            the unit of the cost. 0 for combinations that no arch has.
        shares: of the same shape, the share of all archs that have a combination.
    """

    slots: tuple[int, ...]
    values: np.ndarray
    shares: np.ndarray
