"""The slots of a pair of cells, and the template that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from gennas.spaces.darts.cells import CellPlan
from gennas.spaces.template import FIXED, Template

CELLS = ("normal", "reduce")


@dataclass(frozen=True)
class Slots:
    """The slots of a node: of the pair that it reads (None where there is only one), and of its operations."""

    inputs: int | None
    first: int
    second: int


@cache
def slots_of(plan: CellPlan) -> tuple[tuple[Slots, ...], tuple[Slots, ...]]:
    """The slots of the nodes of the normal and of the reduction cell."""
    found: list[tuple[Slots, ...]] = []
    slot = 1
    for _ in CELLS:
        cell = []
        for node in plan.numbers:
            inputs = slot if len(plan.pairs(node)) > 1 else None
            slot += inputs is not None
            cell.append(Slots(inputs, slot, slot + 1))
            slot += 2
        found.append(tuple(cell))
    return found[0], found[1]


def template_of(plan: CellPlan) -> Template:
    """The template: ``normal.3.inputs``, ``normal.3.first``, ``normal.3.second``, ... between an input and an output.

    Edges lead from the operations of a node to those of all later nodes of its cell.
    """
    pairs = [f"{a}+{b}" for a, b in plan.pairs(plan.numbers[-1])]
    vocabulary = ("input", *plan.operations, *pairs, "output")
    names, index = ["input"], {word: i for i, word in enumerate(vocabulary)}
    allowed_words: list[Sequence[str]] = [("input",)]
    for cell, nodes in zip(CELLS, slots_of(plan), strict=True):
        for node, slots in zip(plan.numbers, nodes, strict=True):
            if slots.inputs is not None:
                names.append(f"{cell}.{node}.inputs")
                allowed_words.append([f"{a}+{b}" for a, b in plan.pairs(node)])
            names += [f"{cell}.{node}.first", f"{cell}.{node}.second"]
            allowed_words += [plan.operations, plan.operations]
    n = len(names) + 1
    allowed, edges = np.zeros((n, len(vocabulary)), bool), np.zeros((n, n), np.int8)
    for slot, words in enumerate([*allowed_words, ("output",)]):
        allowed[slot, [index[word] for word in words]] = True
    for nodes in slots_of(plan):
        for place, slots in enumerate(nodes):
            later = [slot for other in nodes[place + 1 :] for slot in (other.first, other.second)]
            if slots.inputs is not None:
                edges[0, slots.inputs] = edges[slots.inputs, [slots.first, slots.second]] = FIXED
            for slot in (slots.first, slots.second):
                edges[0, slot] = edges[slot, -1] = FIXED
                edges[slot, later] = FIXED
    return Template((*names, "output"), vocabulary, allowed, edges)
