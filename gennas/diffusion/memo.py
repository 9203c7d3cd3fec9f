"""GraphMemo: a function of graphs that is not computed again for graphs seen lately."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch

#: How many values are kept, and for templates of how many decisions: larger graphs never come back.
BITS, DECISIONS = 17, 64
ROWS = 2**BITS
#: Graphs that a CPU computes at a time; more fall out of its cache.
CHUNK = 512


class GraphMemo:
    """Remembers a tensor-valued function of graphs over one template, and of some of their decisions.

    A tilted sampling comes back to the same graphs again and again, and its steps share partly masked ones. Values
    are kept under a 64-bit hash: a random linear form (multiply-add hashing, Carter and Wegman 1979), for which a
    collision among a million graphs has a probability below one in ten million. The highest bits of the hash are the
    place where a value is kept; a later one takes the place of an earlier, so that memory is bounded.

    Args:
        function: ``GraphBatch`` of ``b`` graphs, decisions ``(b, q)`` -> ``(b, ...)``.
    """

    def __init__(self, function: Callable[[GraphBatch, Tensor], Tensor]) -> None:
        self.function = function
        #: ``q``, on which the shape of a value depends -> hashes and values.
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, graph: GraphBatch, decisions: Tensor) -> Tensor:
        """``(b, ...)`` the function's values; graphs that are remembered are not computed."""
        choices = graph.choices()
        if choices.shape[1] > DECISIONS:
            return self._computed(graph, decisions, torch.arange(len(graph), device=graph.device))
        weights = _hash_weights(DECISIONS + decisions.shape[1]).to(graph.device)
        count = choices.shape[1]
        hashes = ((choices - MASK) * weights[:count]).sum(1) + ((decisions + 1) * weights[DECISIONS:]).sum(1)
        distinct, inverse = hashes.unique(return_inverse=True)
        first = torch.empty_like(distinct).scatter(0, inverse, torch.arange(len(hashes), device=graph.device))
        place = (distinct >> (64 - BITS)) & (ROWS - 1)
        if decisions.shape[1] not in self._kept:
            values = self._computed(graph, decisions, first)
            # What is there at first is nobody's: 0 belongs in the first place, -1 in the last.
            empty = torch.zeros(ROWS, dtype=torch.long, device=graph.device)
            empty[0] = -1
            self._kept[decisions.shape[1]] = empty, values.new_empty(ROWS, *values.shape[1:])
            new = torch.ones_like(distinct, dtype=torch.bool)
        else:
            hash_at, value_at = self._kept[decisions.shape[1]]
            new = hash_at[place] != distinct
            values = value_at[place]
            if new.any():
                values[new] = self._computed(graph, decisions, first[new])
        hash_at, value_at = self._kept[decisions.shape[1]]
        # One is written where several belong, so that hash and value are of the same. Hashes are sorted: these are
        # neighbours.
        kept = place.diff(prepend=place.new_full((1,), -1)) != 0
        hash_at[place[kept]], value_at[place[kept]] = distinct[kept], values[kept]
        return values[inverse]

    def _computed(self, graph: GraphBatch, decisions: Tensor, rows: Tensor) -> Tensor:
        size = CHUNK if graph.device.type == "cpu" else max(len(rows), 1)
        return torch.cat([self.function(graph[part], decisions[part]) for part in rows.split(size)])


@cache
def _hash_weights(count: int) -> Tensor:
    return torch.randint(-(2**62), 2**62, (count,), generator=torch.Generator().manual_seed(201))
