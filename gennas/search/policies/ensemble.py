"""The ensemble of small networks of the BANANAS-style search."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch


def fit_ensemble(
    inputs: np.ndarray, targets: np.ndarray, asked: np.ndarray, members: int, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std ``(A, t)`` over networks of three hidden layers, trained from different weights.

    Args:
        inputs: ``(N, f)``.
        targets: ``(N, t)``; those that are NaN are not known.
        asked: ``(A, f)``.
        members: how many networks.
        steps: of Adam on all archs at once.
        rng: of the weights.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    widths = [inputs.shape[1], 64, 64, 64, targets.shape[1]]
    weights = [
        (torch.randn(members, i, o, generator=generator) * (2 / max(i, 1)) ** 0.5).requires_grad_()
        for i, o in pairwise(widths)
    ]
    biases = [torch.zeros(members, 1, o, requires_grad=True) for o in widths[1:]]

    def outputs(rows: torch.Tensor) -> torch.Tensor:
        """``(N, f) -> (members, N, t)``"""
        rows = rows.expand(members, -1, -1)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            rows = torch.baddbmm(bias, rows.relu() if layer else rows, weight)
        return rows

    points, values = torch.from_numpy(inputs), torch.from_numpy(targets).float()
    unknown = values.isnan()
    optimiser = torch.optim.Adam([*weights, *biases], lr=0.01)
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            # Members do not share weights: the sum trains each as if it were alone.
            (outputs(points) - values).masked_fill(unknown, 0.0).square().mean((1, 2)).sum().backward()
            optimiser.step()
    with torch.no_grad():
        answers = outputs(torch.from_numpy(asked)).double()
    return answers.mean(0).numpy(), answers.std(0).numpy()
