"""Calibration of predicted intervals on held-out labels, whose errors need not be Gaussian."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from gennas.predictors.quality import Z90

#: Calibration archs per bin of predicted values, and the largest number of bins.
PER_BIN, BINS = 100, 16
#: Held-out labels per factor of a std, and the largest number of factors.
LABELS_PER_FACTOR, FACTORS = 20, 4
_LEVELS = torch.linspace(-3.0, 3.0, 25)


class Residuals(nn.Module):
    """The distribution of ``(truth - mean) / std`` of ``m`` metrics, by the predicted value.

    A Mondrian conformal predictive system (Vovk, Shen, Manokhin and Xie, "Nonparametric predictive distributions based
    on conformal prediction", 2017; bins after Bostrom, Johansson and Lofstrom 2021): calibration archs are binned by
    their predicted value, and each bin keeps the quantiles of its errors. Latencies come in steps: if an arch takes
    either 5 or 8 ms, its error is not Gaussian, and a bound in between holds less often than a Gaussian suggests.

    Attributes:
        edges: ``(m, BINS - 1)`` predicted normal scores at the bins' edges; inf if there are fewer bins.
        quantiles: ``(m, BINS, levels)`` errors, in stds, at evenly spaced normal quantiles.
    """

    edges: Tensor
    quantiles: Tensor

    def __init__(self, num_metrics: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.full((num_metrics, BINS - 1), torch.inf))
        self.register_buffer("quantiles", _LEVELS.repeat(num_metrics, BINS, 1))

    @torch.no_grad()
    def fit(self, metric: int, mean: np.ndarray, residual: np.ndarray) -> None:
        """Fits one metric to ``(N,)`` predictions and errors of calibration archs; Gaussian if they fill no bin."""
        bins = min(len(mean) // PER_BIN, BINS)
        self.edges[metric], self.quantiles[metric] = torch.inf, _LEVELS
        if not bins:
            return
        edges = np.quantile(mean, np.arange(1, bins) / bins)
        bin_of = np.searchsorted(edges, mean)
        self.edges[metric, : bins - 1] = torch.from_numpy(edges)
        for number in range(bins):
            errors = residual[bin_of == number]
            if len(errors) < PER_BIN // 2:
                continue
            # n errors determine the quantiles 1 / (n + 1) to n / (n + 1); the tails beyond are Gaussian.
            reach = norm.ppf(len(errors) / (len(errors) + 1))
            levels = _LEVELS.numpy()
            share = (norm.cdf(levels.clip(-reach, reach)) * (len(errors) + 1) - 1) / max(len(errors) - 1, 1)
            quantiles = np.quantile(errors, share.clip(0, 1)) + (levels - levels.clip(-reach, reach))
            # Strictly increasing, so that it can be inverted.
            self.quantiles[metric, number] = torch.from_numpy(quantiles + 1e-4 * levels)

    def normal_quantile(self, metric: int, mean: Tensor, residual: Tensor) -> Tensor:
        """``(...,)`` the probability of an error below ``residual``, given the prediction, as a normal quantile."""
        bin_of = torch.searchsorted(self.edges[metric], mean.contiguous())
        nodes = self.quantiles[metric][bin_of]  # (..., levels)
        right = torch.searchsorted(nodes, residual.contiguous()[..., None]).clamp(1, nodes.shape[-1] - 1)
        low, high = nodes.gather(-1, right - 1).squeeze(-1), nodes.gather(-1, right).squeeze(-1)
        levels, right = _LEVELS.to(mean.device), right.squeeze(-1)
        inside = levels[right - 1] + (levels[right] - levels[right - 1]) * (residual - low) / (high - low)
        beyond = torch.where(residual > nodes[..., -1], levels[-1] + residual - nodes[..., -1], inside)
        return torch.where(residual < nodes[..., 0], levels[0] + residual - nodes[..., 0], beyond)


class StdScale(nn.Module):
    """Factors on the std of one metric, with which 90 % intervals hold 90 % of held-out labels.

    Normalised conformal prediction (Papadopoulos, Vovk and Gammerman, "Regression Conformal Prediction with Nearest
    Neighbours", 2011) per bin of predicted values, interpolated in between: near the best archs errors can be far
    smaller, or larger, than elsewhere. 1 before it is fitted.

    Attributes:
        centres: ``(FACTORS,)`` predicted values, not decreasing.
        factors: ``(FACTORS,)`` factors there.
    """

    centres: Tensor
    factors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(FACTORS))
        self.register_buffer("factors", torch.ones(FACTORS))

    @torch.no_grad()
    def fit(self, predicted: np.ndarray, ratio: np.ndarray) -> None:
        """Fits to ``(k,)`` predictions of held-out labels, and the absolute errors in stds; NaN ratios are left out."""
        predicted, ratio = predicted[~np.isnan(ratio)], ratio[~np.isnan(ratio)]
        if not len(ratio):
            return
        bins = np.array_split(
            np.argsort(predicted, kind="stable"), min(max(len(ratio) // LABELS_PER_FACTOR, 1), FACTORS)
        )
        for place in range(FACTORS):
            rows = bins[min(place, len(bins) - 1)]
            level = min(0.9 * (1 + 1 / len(rows)), 1.0)
            self.centres[place] = float(predicted[rows].mean())
            self.factors[place] = float(np.quantile(ratio[rows], level)) / Z90

    def forward(self, predicted: Tensor) -> Tensor:
        """The factors at some predicted values, elementwise."""
        centres, factors = self.centres, self.factors
        right = torch.searchsorted(centres, predicted.contiguous()).clamp(1, FACTORS - 1)
        low, high = centres[right - 1], centres[right]
        share = ((predicted - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
        return factors[right - 1] + share * (factors[right] - factors[right - 1])
