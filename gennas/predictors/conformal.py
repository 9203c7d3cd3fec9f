"""Residuals: what a predictor's errors look like, where they are not Gaussian."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

#: Calibration archs per bin of predicted values, and bins at most.
PER_BIN, BINS = 100, 16
_LEVELS = torch.linspace(-3.0, 3.0, 25)


class Residuals(nn.Module):
    """The distribution of ``(truth - mean) / std`` of ``m`` metrics, apart for low and high predictions.

    A Mondrian conformal predictive system (Vovk, Shen, Manokhin and Xie, "Nonparametric predictive distributions based
    on conformal prediction", 2017; bins after Bostrom, Johansson and Lofstrom 2021): calibration archs are binned by
    their predicted value, and every bin keeps the quantiles of its errors. Devices measure in jumps: an arch that runs
    in 5 or in 8 ms has no Gaussian error, and a bound between the two holds less often than a Gaussian would say.

    Attributes:
        edges: ``(m, BINS - 1)`` predicted normal scores between the bins; inf where there are fewer.
        quantiles: ``(m, BINS, levels)`` the errors, in stds, at evenly spaced normal quantiles.
    """

    edges: Tensor
    quantiles: Tensor

    def __init__(self, num_metrics: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.full((num_metrics, BINS - 1), torch.inf))
        self.register_buffer("quantiles", _LEVELS.repeat(num_metrics, BINS, 1))

    @torch.no_grad()
    def fit(self, metric: int, mean: np.ndarray, residual: np.ndarray) -> None:
        """Learns from ``(N,)`` predictions and errors of calibration archs; from fewer than a bin's worth nothing."""
        bins = min(len(mean) // PER_BIN, BINS)
        self.edges[metric], self.quantiles[metric] = torch.inf, _LEVELS
        if not bins:
            return
        edges = np.quantile(mean, np.arange(1, bins) / bins)
        place = np.searchsorted(edges, mean)
        self.edges[metric, : bins - 1] = torch.from_numpy(edges)
        for number in range(bins):
            errors = residual[place == number]
            if len(errors) < PER_BIN // 2:
                continue
            # From n errors the quantiles 1 / (n + 1) to n / (n + 1) can be known; beyond them as a Gaussian.
            reach = norm.ppf(len(errors) / (len(errors) + 1))
            levels = _LEVELS.numpy()
            share = (norm.cdf(levels.clip(-reach, reach)) * (len(errors) + 1) - 1) / max(len(errors) - 1, 1)
            found = np.quantile(errors, share.clip(0, 1)) + (levels - levels.clip(-reach, reach))
            # Strictly increasing, to be turned round.
            self.quantiles[metric, number] = torch.from_numpy(found + 1e-4 * levels)

    def normal_quantile(self, metric: int, mean: Tensor, residual: Tensor) -> Tensor:
        """``(...,)`` the normal quantile of the probability that an error is smaller, given the prediction."""
        place = torch.searchsorted(self.edges[metric], mean.contiguous())
        nodes = self.quantiles[metric][place]  # (..., levels)
        right = torch.searchsorted(nodes, residual.contiguous()[..., None]).clamp(1, nodes.shape[-1] - 1)
        low, high = nodes.gather(-1, right - 1).squeeze(-1), nodes.gather(-1, right).squeeze(-1)
        levels, right = _LEVELS.to(mean.device), right.squeeze(-1)
        inside = levels[right - 1] + (levels[right] - levels[right - 1]) * (residual - low) / (high - low)
        beyond = torch.where(residual > nodes[..., -1], levels[-1] + residual - nodes[..., -1], inside)
        return torch.where(residual < nodes[..., 0], levels[0] + residual - nodes[..., 0], beyond)
