"""Models of sub-networks: their latency from the work of their blocks, and their accuracy from their choices."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gennas.arch import Arch
from gennas.design.blocks import Blocks
from gennas.design.cuts import CutModel, logits

#: Relative error that latencies are expected to have where too few are known to tell.
UNSURE = 0.15


class LatencyModel:
    """Latencies as a sum of non-negative costs of the work that is done, fitted to some that were measured.

    Args:
        blocks: of the archs.
        archs: that were measured.
        latencies: ``(N,)`` in ms.
    """

    def __init__(self, blocks: Blocks, archs: Sequence[Arch], latencies: Sequence[float]) -> None:
        self.blocks = blocks
        self._work, self._measured = blocks.work(blocks.space.arrays(archs)[0]), np.array(latencies, dtype=float)
        self._weights = _fit(self._work, self._measured)

    @cached_property
    def error(self) -> float:
        """Relative error of a latency that was left out of the fit, the root of the mean square."""
        work, measured = self._work, self._measured
        if len(measured) <= work.shape[1]:
            return UNSURE
        left_out = []
        for row in range(len(measured)):
            others = np.arange(len(measured)) != row
            left_out.append(float(work[row] @ _fit(work[others], measured[others])) / measured[row] - 1)
        return max(float(np.sqrt(np.mean(np.square(left_out)))), 0.01)

    def __call__(self, ops: np.ndarray) -> np.ndarray:
        """``(N,)`` latencies in ms, of ``(N, n)`` indices into the vocabulary."""
        predicted: np.ndarray = self.blocks.work(ops) @ self._weights
        return predicted


def _fit(work: np.ndarray, latencies: np.ndarray) -> np.ndarray:
    """Non-negative least squares of relative errors; a tiny ridge says which of equal fits is taken."""
    from scipy.optimize import nnls

    scale = work.mean(0).clip(1e-9)
    rows = work / scale / latencies[:, None]
    ridge = 1e-3 * np.eye(work.shape[1]) / latencies.mean()
    solution, _ = nnls(np.concatenate([rows, ridge]), np.concatenate([np.ones(len(rows)), np.zeros(len(ridge))]))
    found: np.ndarray = solution / scale
    return found


class AccuracyModel:
    """Logits of accuracies as a Gaussian process over the choices, around what cuts destroy on other images.

    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006: a linear part, a smooth one and noise,
    weighed by their marginal likelihood.

    Args:
        blocks: of the archs.
        archs: whose accuracy is known.
        accuracies: ``(N,)`` fractions.
    """

    def __init__(self, blocks: Blocks, archs: Sequence[Arch], accuracies: Sequence[float]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        self.blocks = blocks
        features = self._features(blocks.space.arrays(archs)[0])
        self._mean, self._std = features.mean(0), np.maximum(features.std(0), 1e-6)
        self._cuts = CutModel(blocks)
        ops = blocks.space.arrays(archs)[0]
        targets = logits(np.array(accuracies)) - self._cuts.cuts(ops)
        kernel = (
            ConstantKernel(0.1, (1e-3, 1e1)) * DotProduct(1.0, (1e-1, 1e1))
            + ConstantKernel(0.5, (1e-2, 1e1)) * RBF(5.0, (2.0, 5e1))
            + WhiteKernel(0.2, (2e-2, 1e0))
        )
        self._process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            # A kernel at the end of its range is a good one, too.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit((features - self._mean) / self._std, targets)

    def __call__(self, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N,)`` means and stds of the logits, of ``(N, n)`` indices into the vocabulary."""
        features = (self._features(ops) - self._mean) / self._std
        mean, std = self._process.predict(features, return_std=True)
        return mean + self._cuts.cuts(ops), std

    def _features(self, ops: np.ndarray) -> np.ndarray:
        work = self.blocks.work(ops)
        operations = np.log(work[:, 1:4].sum(1))[:, None]
        # What is common to all blocks counts more than what one of them has.
        shares = self.blocks.shares(ops)
        return np.concatenate([shares[:, :1], operations, np.log(work[:, 5:6]), shares[:, 1:]], axis=1)
