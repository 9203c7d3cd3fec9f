"""The Weisfeiler-Lehman kernel of NASBOWL, as another view of graphs for the surrogates of a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gpytorch.kernels import AdditiveKernel, Kernel
from gpytorch.priors import LogNormalPrior

from gennas.arch import Arch
from gennas.predictors.features import dataflow_between_ends, live
from gennas.predictors.gaussian_process import PlainLinearKernel
from gennas.search.kernels import View
from gennas.spaces import Space

#: Levels of neighbourhoods: operations alone, with their neighbours, with those of these.
LEVELS = 3
#: Kinds of neighbourhoods that are distinguished at every level; rare collisions make graphs a little more similar.
BUCKETS = 256
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


class WeisfeilerLehmanView(View):
    """How often each kind of neighbourhood occurs in a graph, level by level.

    Shervashidze et al., "Weisfeiler-Lehman Graph Kernels", JMLR 2011, used for architectures by Ru et al.,
    "Interpretable Neural Architecture Search via Bayesian Optimisation with Weisfeiler-Lehman Kernels", ICLR 2021.
    Predecessors and successors of an operation are distinguished; only what lies between input and output counts. The
    scalar product of two graphs' features is the sum over levels of their similarity there, 1 for equal ones.

    Args:
        space: whose graphs are described.
    """

    width = LEVELS * BUCKETS

    def __init__(self, space: Space) -> None:
        self.space = space

    def kernel(self, amplitude: LogNormalPrior) -> Kernel:
        """Similarity of two graphs at each level, each level with a weight of its own."""
        kernels = []
        for level in range(LEVELS):
            columns = list(range(level * BUCKETS, (level + 1) * BUCKETS))
            kernels.append(PlainLinearKernel(columns, amplitude))
            kernels[-1].variance = amplitude.mode / LEVELS
        return AdditiveKernel(*kernels)

    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, LEVELS * BUCKETS)``; the counts of every level have length 1."""
        ops, edges = live(*dataflow_between_ends(self.space, *self.space.arrays(archs)))
        there, labels = ops >= 0, _mixed(ops.astype(np.uint64) + np.uint64(1))
        # The ends have the same label as nothing else.
        labels[:, 0], labels[:, -1] = _mixed(np.array([1 << 32, 1 << 33], dtype=np.uint64))
        counts = np.zeros((len(ops), LEVELS, BUCKETS))
        rows = np.broadcast_to(np.arange(len(ops))[:, None], ops.shape)
        for level in range(LEVELS):
            bucket = (labels >> np.uint64(40)) % np.uint64(BUCKETS)
            np.add.at(counts[:, level], (rows[there], bucket[there].astype(int)), 1)
            labels = self._with_neighbours(labels, edges)
        length = np.linalg.norm(counts, axis=2, keepdims=True)
        return (counts / np.maximum(length, 1)).reshape(len(ops), self.width)

    @staticmethod
    def _with_neighbours(labels: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """A label for each label with what feeds it and what it feeds; sums, so that no order counts."""
        present = edges.astype(np.uint64)
        fed_by = (present * _mixed(labels * _MULTIPLIERS[1])[:, :, None]).sum(1)
        feeds = (present * _mixed(labels * _MULTIPLIERS[2])[:, None, :]).sum(2)
        return _mixed(labels + _mixed(fed_by + _MULTIPLIERS[1]) + _mixed(feeds + _MULTIPLIERS[2]))


def _mixed(values: np.ndarray) -> np.ndarray:
    """A hash of 64-bit integers (the finaliser of Steele, Lea and Flood's SplitMix, 2014)."""
    values = values * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
