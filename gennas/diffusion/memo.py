"""GraphMemo: a bounded cache of a function of graphs."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch

#: Cache size, as a power of two, and the most decisions of a cached graph: larger graphs hardly ever repeat.
BITS, DECISIONS = 17, 64
ROWS = 2**BITS
#: Graphs computed at a time on a CPU; larger batches exceed its cache.
CHUNK = 512


class GraphMemo:
    """Caches a tensor-valued function of graphs over one template and some of their decisions.

    Guided sampling visits the same graphs many times, and its steps share partly masked ones. Values are cached under
    a 64-bit hash: a random linear form (multiply-add hashing, Carter and Wegman 1979), for which the probability of a
    collision among a million graphs is below one in ten million. The highest bits of the hash select a bucket, where
    a later value replaces an earlier one, so that memory is bounded.

    Args:
        function: ``GraphBatch`` of ``b`` graphs, decisions ``(b, q)`` -> ``(b, ...)``.
    """

    def __init__(self, function: Callable[[GraphBatch, Tensor], Tensor]) -> None:
        self.function = function
        #: ``q``, on which the shape of a value depends -> hashes and values of all buckets.
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, graph: GraphBatch, decisions: Tensor) -> Tensor:
        """``(b, ...)`` values of the function, computed only where they are not cached."""
        choices = graph.choices()
        if choices.shape[1] > DECISIONS:
            return self._computed(graph, decisions, torch.arange(len(graph), device=graph.device))
        weights = _hash_weights(DECISIONS + decisions.shape[1]).to(graph.device)
        count = choices.shape[1]
        hashes = ((choices - MASK) * weights[:count]).sum(1) + ((decisions + 1) * weights[DECISIONS:]).sum(1)
        distinct, inverse = hashes.unique(return_inverse=True)
        first = torch.empty_like(distinct).scatter(0, inverse, torch.arange(len(hashes), device=graph.device))
        bucket = (distinct >> (64 - BITS)) & (ROWS - 1)
        if decisions.shape[1] not in self._cache:
            values = self._computed(graph, decisions, first)
            # The initial hashes match no graph: a hash of 0 belongs in the first bucket, one of -1 in the last.
            empty = torch.zeros(ROWS, dtype=torch.long, device=graph.device)
            empty[0] = -1
            self._cache[decisions.shape[1]] = empty, values.new_empty(ROWS, *values.shape[1:])
            new = torch.ones_like(distinct, dtype=torch.bool)
        else:
            cached_hashes, cached_values = self._cache[decisions.shape[1]]
            new = cached_hashes[bucket] != distinct
            values = cached_values[bucket]
            if new.any():
                values[new] = self._computed(graph, decisions, first[new])
        cached_hashes, cached_values = self._cache[decisions.shape[1]]
        # Write one graph per bucket, so that hash and value belong together. As hashes are sorted, graphs of the same
        # bucket are neighbours.
        written = bucket.diff(prepend=bucket.new_full((1,), -1)) != 0
        cached_hashes[bucket[written]], cached_values[bucket[written]] = distinct[written], values[written]
        return values[inverse]

    def _computed(self, graph: GraphBatch, decisions: Tensor, rows: Tensor) -> Tensor:
        size = CHUNK if graph.device.type == "cpu" else max(len(rows), 1)
        return torch.cat([self.function(graph[part], decisions[part]) for part in rows.split(size)])


@cache
def _hash_weights(count: int) -> Tensor:
    return torch.randint(-(2**62), 2**62, (count,), generator=torch.Generator().manual_seed(201))
