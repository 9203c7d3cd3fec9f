"""All costs of archs: those that every space knows, and those that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gennas.metrics import DERIVED_COSTS

if TYPE_CHECKING:
    import numpy as np

    from gennas.arch import Arch
    from gennas.spaces.base import Space
    from gennas.spaces.terms import CostTerm
    from gennas.tasks import Task


def all_costs(space: Space, arch: Arch, task: Task) -> dict[str, float]:
    """``params_m`` and ``macs_m`` of an arch, in millions, and ``size_mb``, in MB."""
    costs = space.costs(arch, task)
    return {**{name: factor * costs[of] for name, (of, factor) in DERIVED_COSTS.items()}, **costs}


def slot_costs_of(space: Space, task: Task, name: str) -> tuple[float, np.ndarray] | None:
    """A cost as a sum over slots; see :meth:`gennas.spaces.Space.slot_costs`."""
    tables = space.slot_costs(task)
    if tables is None:
        return None
    of, factor = _origin(tables, name)
    base, table = tables[of]
    return factor * base, factor * table


def cost_terms_of(space: Space, task: Task, name: str) -> tuple[float, list[CostTerm]] | None:
    """A cost as a sum of terms; see :meth:`gennas.spaces.Space.cost_terms`."""
    terms = space.cost_terms(task)
    if terms is None:
        return None
    of, factor = _origin(terms, name)
    base, parts = terms[of]
    return factor * base, [replace(part, values=factor * part.values) for part in parts]


def _origin(known: Mapping[str, Any], name: str) -> tuple[str, float]:
    return (name, 1.0) if name in known else DERIVED_COSTS[name]
