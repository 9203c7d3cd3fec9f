"""Process: what a fitted Gaussian process says of many archs one by one, where BoTorch's posterior is a joint one."""

from __future__ import annotations

import torch
from botorch.models import SingleTaskGP
from torch import Tensor


class Process:
    """A fitted Gaussian process, and its posterior for many archs one by one.

    Args:
        model: the BoTorch model, whose posterior is a joint one.
        inputs: ``(n, d)`` of the archs that it learnt from.
        scores: ``(n,)`` theirs.

    Attributes:
        noise: variance of scores that are evaluated again.
    """

    def __init__(self, model: SingleTaskGP, inputs: Tensor, scores: Tensor) -> None:
        self.model, self.inputs = model, inputs
        self.noise = float(model.likelihood.noise.detach())
        with torch.no_grad():
            gram = model.covar_module(inputs).to_dense() + model.likelihood.noise * torch.eye(len(inputs))
            self._scores, self._factor = scores, torch.linalg.cholesky(gram)
            self._weights = torch.cholesky_solve((scores - model.mean_module(inputs))[:, None], self._factor)

    @torch.no_grad()
    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``(N,)`` mean and std of the noiseless scores at ``points (N, d)``."""
        means, stds = [], []
        for part in points.split(4096):
            cross = self.model.covar_module(part, self.inputs).to_dense()
            solved = torch.linalg.solve_triangular(self._factor, cross.T, upper=False)
            variance = self.model.covar_module(part, diag=True) - solved.square().sum(0)
            means.append(self.model.mean_module(part) + (cross @ self._weights)[:, 0])
            stds.append(variance.clamp_min(1e-10).sqrt())
        return torch.cat(means), torch.cat(stds)

    def believing(self, points: Tensor, scores: Tensor) -> Process:
        """The process, were archs at ``points (N, d)`` evaluated with these scores ``(N,)``; nothing is fitted anew."""
        return Process(self.model, torch.cat([self.inputs, points]), torch.cat([self._scores, scores]))

    @torch.no_grad()
    def left_out(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` mean and variance of every score, noise included, as the others foretell it.

        In closed form: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 5.10-5.12.
        """
        precision = torch.cholesky_inverse(self._factor).diagonal()
        return self._scores - self._weights[:, 0] / precision, 1 / precision
