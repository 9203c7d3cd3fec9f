"""ExactGuide: guidance by summing over every arch of a small space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.diffusion.guides.base import Guide
from gennas.errors import InvalidInputError
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Template

#: Partly masked graphs for which a value is kept at most; 256 MB.
LARGEST = 2**25


class ExactGuide(Guide):
    """``V(x_t) = log E[exp(strength * f(x)) | x_t]``, summed over all completions ``x`` of ``x_t``, equally likely.

    With it, a sampler that makes one decision a step draws from ``p(x) * exp(strength * f(x))`` exactly, if ``p`` is
    uniform over the archs: what the guidance of learned predictors is measured against, and a choice of its own for
    spaces with a table.

    Args:
        template: the template of the space.
        archs: all archs of the space.
        values: ``(N,)`` their ``f``.
        strength: how far to tilt.

    Raises:
        InvalidInputError: the template has too many partly masked graphs for a sum over each.
    """

    def __init__(self, template: Template, archs: Sequence[Arch], values: np.ndarray, strength: float) -> None:
        self.strength = strength
        allowed = decisions_of(template).allowed
        shape = [int(count) + 1 for count in allowed.sum(1)]
        if math.prod(shape) > LARGEST:
            raise InvalidInputError(
                f"the template has {Decimal(math.prod(shape)):.3g} partly masked graphs, expected at most "
                f"{LARGEST:,} for exact guidance; guide by a predictor instead."
            )
        #: ``(D, c)`` the place of a choice among those of its decision; the last place is for MASK.
        self._place = (allowed.cumsum(1) - 1).clamp_min(0)
        self._masked = allowed.sum(1)
        self._stride = torch.tensor([math.prod(shape[d + 1 :]) for d in range(len(shape))])
        at = self._index(GraphBatch.from_archs(archs, template).choices())
        tilted, count = (torch.full((math.prod(shape),), -torch.inf, dtype=torch.double) for _ in range(2))
        tilted[at], count[at] = torch.from_numpy(strength * np.asarray(values, dtype=float)), 0.0
        self._log_values = (_over_completions(tilted.view(shape)) - _over_completions(count.view(shape))).flatten()
        # No arch completes such a graph.
        self._log_values = self._log_values.nan_to_num(nan=-torch.inf).float()

    def _index(self, choices: Tensor) -> Tensor:
        place = self._place.gather(1, choices.T.clamp_min(0)).T  # (b, D)
        return (torch.where(choices == MASK, self._masked, place) * self._stride).sum(1)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return self._log_values[self._index(graph.choices().cpu())].to(graph.device)

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        now, at = self._index(graph.choices().cpu()), decisions.cpu()
        step = self._place[at] - self._masked[at][..., None]  # (b, q, c)
        then = now[:, None, None] + step * self._stride[at][..., None]
        # A decision that is made already has no next choice; any value serves.
        values = self._log_values[then.clamp(0, len(self._log_values) - 1)]
        return self._log_values[now].to(graph.device), values.to(graph.device)


def _over_completions(table: Tensor) -> Tensor:
    """Log-sums over completions: fills the MASK place, the last of every axis, from the others."""
    for axis, size in enumerate(table.shape):
        table = torch.cat(
            [table.narrow(axis, 0, size - 1), table.narrow(axis, 0, size - 1).logsumexp(axis, True)], axis
        )
    return table
