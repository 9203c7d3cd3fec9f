"""A Gaussian process that counts differing decisions: what a first model of categories comes to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gennas.arch import Arch
from gennas.search.policies.decisions import Decisions
from gennas.search.policies.gaussian_process import NoisyImprovement

if TYPE_CHECKING:
    from gpytorch.kernels import Kernel


@dataclass(frozen=True, eq=False)
class GpHamming(NoisyImprovement):
    """Noisy expected improvement of a Gaussian process with a Hamming kernel over the decisions of a space.

    The covariance of two archs is ``s exp(-h / l)`` where they differ in a share ``h`` of the decisions: BoTorch's
    kernel for categories, in the spirit of Ru, Alvi, Nguyen, Osborne and Roberts, "Bayesian Optimisation over Multiple
    Continuous and Categorical Inputs", ICML 2020, but with one length scale for all decisions. It knows nothing of
    graphs, features, tasks or functions: a method that finds no better archs than this one is not worth its parts. See
    :class:`NoisyImprovement` for the rest.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        candidates: archs to choose from, half of them random, half mutants.
        parents: how many of the best archs are mutated.
        steps: of the fit, at most.
    """

    name = "gp_hamming"

    def points(self, archs: list[Arch]) -> np.ndarray:
        return self._decisions.of(archs).astype(float)

    def kernel(self) -> Kernel:
        from botorch.models.kernels import CategoricalKernel
        from gpytorch.constraints import GreaterThan
        from gpytorch.kernels import ScaleKernel

        return ScaleKernel(CategoricalKernel(lengthscale_constraint=GreaterThan(1e-6)))

    @cached_property
    def _decisions(self) -> Decisions:
        return Decisions(self.problem.space)
