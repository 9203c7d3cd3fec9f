"""ExactGuide: exact guidance by summing over all archs of a small space."""

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

#: Maximum number of partly masked graphs, whose values are all stored (256 MB).
LARGEST = 2**25


class ExactGuide(Guide):
    """``V(x_t) = log E[exp(strength * f(x)) | x_t]``, with all completions ``x`` of ``x_t`` equally likely.

    With this guide, a sampler that makes one decision per step draws exactly from ``p(x) * exp(strength * f(x))`` if
    ``p`` is uniform over the archs. It is the reference for guidance by trained predictors.

    Args:
        template: the template of the space.
        archs: all ``N`` archs of the space.
        values: ``(N,)`` values of ``f``.
        strength: strength of the tilt.

    Raises:
        InvalidInputError: the template has too many partly masked graphs.
    """

    def __init__(self, template: Template, archs: Sequence[Arch], values: np.ndarray, strength: float) -> None:
        self.strength = strength
        allowed = decisions_of(template).allowed
        shape = [int(count) + 1 for count in allowed.sum(1)]
        if math.prod(shape) > LARGEST:
            raise InvalidInputError(
                f"the template has {Decimal(math.prod(shape)):.3g} partly masked graphs; exact guidance supports at "
                f"most {LARGEST:,}. Use a predictor as guide."
            )
        #: ``(D, c)`` position of a choice among those of its decision; the last position is for MASK.
        self._position = (allowed.cumsum(1) - 1).clamp_min(0)
        self._masked = allowed.sum(1)
        self._stride = torch.tensor([math.prod(shape[d + 1 :]) for d in range(len(shape))])
        at = self._index(GraphBatch.from_archs(archs, template).choices())
        tilted, count = (torch.full((math.prod(shape),), -torch.inf, dtype=torch.double) for _ in range(2))
        tilted[at], count[at] = torch.from_numpy(strength * np.asarray(values, dtype=float)), 0.0
        self._log_values = (_over_completions(tilted.view(shape)) - _over_completions(count.view(shape))).flatten()
        # NaN marks graphs without any completion.
        self._log_values = self._log_values.nan_to_num(nan=-torch.inf).float()

    def _index(self, choices: Tensor) -> Tensor:
        position = self._position.gather(1, choices.T.clamp_min(0)).T  # (b, D)
        return (torch.where(choices == MASK, self._masked, position) * self._stride).sum(1)

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return self._log_values[self._index(graph.choices().cpu())].to(graph.device)

    def values(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        now, at = self._index(graph.choices().cpu()), decisions.cpu()
        step = self._position[at] - self._masked[at][..., None]  # (b, q, c)
        then = now[:, None, None] + step * self._stride[at][..., None]
        # For decisions already made the index may be out of range; their values are arbitrary.
        values = self._log_values[then.clamp(0, len(self._log_values) - 1)]
        return self._log_values[now].to(graph.device), values.to(graph.device)


def _over_completions(table: Tensor) -> Tensor:
    """Log-sums over completions: appends the entry of MASK to every axis."""
    for axis, size in enumerate(table.shape):
        table = torch.cat(
            [table.narrow(axis, 0, size - 1), table.narrow(axis, 0, size - 1).logsumexp(axis, True)], axis
        )
    return table
