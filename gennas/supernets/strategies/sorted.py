"""Sorted: paths that contain each other, whose gradients are added up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gennas.supernets.paths import Paths
from gennas.supernets.strategies.base import Step, Strategy, expect_range, mean_of


@dataclass(frozen=True)
class Sorted(Strategy):
    """In each step a random chain of paths, each contained in the one before, learns from the labels.

    There are no teachers: what paths have in common is trained by all of them at once, so that important weights end up
    where all find them. Valipour et al., "SortedNet: A Scalable and Generalized Framework for Training Modular Deep
    Neural Networks", 2023, https://arxiv.org/abs/2309.00255, with its accumulation of gradients.

    Args:
        paths: of a chain.
    """

    name = "sorted"
    paths: int = 3

    def __post_init__(self) -> None:
        expect_range(self, "paths", 1, 100, "1 to 100")

    def expect(self, paths: Paths) -> None:
        paths.nested(self.paths, np.random.default_rng(0))

    def learn(self, step: Step) -> Tensor:
        archs = step.paths.nested(self.paths, step.rng)
        return mean_of([step.learn(arch, step.criterion, 1 / len(archs))[1] for arch in archs])
