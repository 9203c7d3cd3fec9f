"""AdditiveGuide: the cheap guide of refills, sums over decisions that were fitted to archs whose worth is known."""

from __future__ import annotations

import torch
from torch import Tensor

from gennas.diffusion.additive import AdditiveFit
from gennas.diffusion.guides.base import ForesightGuide
from gennas.diffusion.guides.costs import sums
from gennas.graph import GraphBatch, decisions_of


class AdditiveGuide(ForesightGuide):
    """Tilts every decision by a weighted sum of fitted contributions, and towards graphs that keep fitted bounds.

    For proposals of a single particle: log-values of a graph and its continuations are those of the exact tilt up to
    what all continuations have in common, on which nothing is resampled.

    Args:
        scores: fit of ``m`` scores.
        tilt: ``(rows, m)`` factors of the scores, for every sampled graph.
        margins: fit of the margins by which bounds are kept, each of which should be positive; None without bounds.
        frequency: ``(D, c)`` frequency of every choice among all archs.
    """

    def __init__(self, scores: AdditiveFit, tilt: Tensor, margins: AdditiveFit | None, frequency: Tensor) -> None:
        self.tilted = torch.einsum("rm,mdc->rdc", tilt.double(), scores.tables)
        self.margins = margins
        if margins is not None:
            #: ``(l, D)`` mean and variance of what masked decisions contribute to the margins.
            self._mean = (margins.tables * frequency).sum(2)
            self._variance = ((margins.tables - self._mean[..., None]).square() * frequency).sum(2)

    def at_once(self, graph: GraphBatch, row: Tensor, decisions: Tensor) -> Tensor:
        row, asked = row.cpu(), decisions.cpu()
        then = self.tilted[row[:, None], asked]  # (b, q, c)
        values = torch.cat([torch.zeros(len(graph), 1, dtype=torch.double), then.flatten(1)], dim=1)
        if self.margins is not None:
            values = values + self._log_kept(graph, asked)
        return values.float().to(graph.device)

    def _log_kept(self, graph: GraphBatch, decisions: Tensor) -> Tensor:
        """``(b, 1 + q * c)`` log-probability that the bounds hold, masked decisions and residuals being Gaussian."""
        assert self.margins is not None
        allowed = decisions_of(graph.template).allowed
        total = torch.zeros(len(graph), 1 + decisions.shape[1] * allowed.shape[1], dtype=torch.double)
        fitted = (self.margins.constant, self.margins.tables, self.margins.residual)
        for constant, table, residual, mean, variance in zip(*fitted, self._mean, self._variance, strict=True):
            expected = constant + sums(graph, decisions, table, mean)
            spread = sums(graph, decisions, torch.zeros_like(table), variance)
            total = total + torch.special.log_ndtr(expected / (spread + residual.square()).sqrt().clamp_min(1e-9))
        return total
