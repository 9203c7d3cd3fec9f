"""Fair: every choice of every slot is trained equally often in every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gennas.supernets.paths import Paths
from gennas.supernets.strategies.base import Step, Strategy, mean_of


@dataclass(frozen=True)
class Fair(Strategy):
    """In each step as many paths as a slot has choices learn from the labels, each choice in one of them.

    Strict fairness of Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture
    Search", ICCV 2021, https://arxiv.org/abs/1907.01845. Slots with fewer choices repeat them; see
    :meth:`gennas.supernets.paths.Paths.fair`. Archs are never drawn near the largest one.
    """

    name = "fair"

    def expect(self, paths: Paths) -> None:
        paths.fair(np.random.default_rng(0))

    def learn(self, step: Step) -> Tensor:
        archs = step.paths.fair(step.rng)
        return mean_of([step.learn(arch, step.criterion, 1 / len(archs))[1] for arch in archs])
