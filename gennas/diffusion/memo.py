"""GraphMemo: a function of graphs that is computed once per graph."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from gennas.graph import MASK, GraphBatch


class GraphMemo:
    """Remembers a tensor-valued function of graphs over one template.

    A tilted sampling comes back to the same graphs again and again, and its steps share partly masked ones. Values
    are kept under a 64-bit hash of a graph's choices: a random linear form (multiply-add hashing, Carter and Wegman
    1979), for which a collision among a million graphs has a probability below one in ten million.

    Args:
        function: ``GraphBatch`` of ``b`` graphs -> ``(b, ...)``.
    """

    def __init__(self, function: Callable[[GraphBatch], Tensor]) -> None:
        self.function = function
        self._hashes = torch.empty(0, dtype=torch.long)
        self._values: Tensor | None = None

    def __call__(self, graph: GraphBatch) -> Tensor:
        """``(b, ...)`` the function's values; only graphs not seen before are computed."""
        choices = graph.choices().cpu()
        hashes = (choices - MASK) @ _hash_weights(choices.shape[1])
        distinct, inverse = hashes.unique(return_inverse=True)
        new = ~torch.isin(distinct, self._hashes)
        if self._values is None or new.any():
            first = torch.empty_like(distinct).scatter(0, inverse, torch.arange(len(hashes)))
            values = self.function(graph[first[new].to(graph.device)])
            grown = torch.cat([self._hashes, distinct[new]])
            order = grown.argsort()
            self._hashes = grown[order]
            kept = values if self._values is None else torch.cat([self._values, values])
            self._values = kept[order.to(kept.device)]
        return self._values[torch.searchsorted(self._hashes, hashes).to(self._values.device)]


@cache
def _hash_weights(decisions: int) -> Tensor:
    return torch.randint(-(2**62), 2**62, (decisions,), generator=torch.Generator().manual_seed(201))
