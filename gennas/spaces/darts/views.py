"""What a pair of cells is made of, as numbers and as edges between slots; of many archs at once."""

from __future__ import annotations

import numpy as np

from gennas.spaces.darts.cells import GIVEN, CellPlan
from gennas.spaces.darts.slots import CELLS, slots_of
from gennas.spaces.template import Template


class Decoder:
    """Reads arrays of slots.

    Args:
        plan: of the cells.
        template: of the space.
    """

    def __init__(self, plan: CellPlan, template: Template) -> None:
        self.plan = plan
        words = [word.split("+") if "+" in word else ("0", "1") for word in template.vocabulary]
        #: ``(k, 2)`` the nodes that an operation of a slot of inputs names.
        self._pairs = np.array(words, dtype=np.int64)
        self._first_operation = template.vocabulary.index(plan.operations[0])
        nodes = [slots for cell in slots_of(plan) for slots in cell]
        # A node without a choice reads 0 and 1, which is what the input slot stands for here.
        self._inputs = np.array([slots.inputs or 0 for slots in nodes])
        self._slots = np.array([(slots.first, slots.second) for slots in nodes]).reshape(len(CELLS), plan.nodes, 2)

    def sources(self, ops: np.ndarray) -> np.ndarray:
        """``(b, 2, nodes, 2)`` the nodes that every node of both cells reads, given ``(b, n)`` operations of slots."""
        return self._pairs[ops[:, self._inputs]].reshape(len(ops), len(CELLS), self.plan.nodes, 2)

    def operations(self, ops: np.ndarray) -> np.ndarray:
        """``(b, 2, nodes, 2)`` the places of the operations of every node, given ``(b, n)`` operations of slots."""
        return ops[:, self._slots] - self._first_operation

    def dataflow(self, ops: np.ndarray) -> np.ndarray:
        """``(b, n, n)`` which slots feed which: operations those that read their node, and the output."""
        b, n = ops.shape
        sources, rows = self.sources(ops), np.arange(b)[:, None]
        flow = np.zeros((b, n, n), bool)
        for cell, slots in enumerate(self._slots):
            # The slots that make each node; the nodes from outside are the input, twice.
            made = np.vstack([np.zeros((GIVEN, 2), np.int64), slots])
            read = np.zeros((b, len(made)), bool)
            for node, own in enumerate(slots):
                for side, slot in enumerate(own):
                    source = sources[:, cell, node, side]
                    flow[rows, made[source], slot] = True
                    read[np.arange(b), source] = True
            ends = ~read[:, GIVEN:] if self.plan.loose_ends else np.ones_like(read[:, GIVEN:])
            flow[:, slots, -1] = ends[:, :, None]
        return flow

    def views(self, ops: np.ndarray) -> list[np.ndarray]:
        """How often each operation is in each cell, also by what it reads: the cell before the last, the last, or a
        node of its own cell; and the depths at which it is, added up.
        """
        sources, operations = self.sources(ops), self.operations(ops)
        hot = operations[..., None] == np.arange(len(self.plan.operations))  # (b, 2, nodes, 2, k)
        kinds = sources[..., None] == np.arange(GIVEN)
        kinds = np.concatenate([kinds, ~kinds.any(-1, keepdims=True)], axis=-1)  # (b, 2, nodes, 2, 3)
        counts = hot.sum((2, 3))
        by_source = np.einsum("bcnsk,bcnst->bctk", hot.astype(float), kinds.astype(float))
        depths = np.einsum("bcnsk,bcns->bck", hot.astype(float), self._depths(sources))
        plain = np.concatenate([counts[:, :, None], by_source], axis=2)
        return [part.reshape(len(ops), -1) for part in (plain, depths)]

    def _depths(self, sources: np.ndarray) -> np.ndarray:
        """``(b, 2, nodes, 2)`` the depth of what every node reads: the longest path to it from outside, in nodes."""
        b, cells, nodes, _ = sources.shape
        depth = np.zeros((b, cells, GIVEN + nodes))
        found = np.zeros(sources.shape)
        for node in range(nodes):
            found[:, :, node] = np.take_along_axis(depth, sources[:, :, node], axis=2)
            depth[:, :, GIVEN + node] = found[:, :, node].max(-1) + 1
        return found
