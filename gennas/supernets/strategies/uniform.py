"""Uniform: single random paths, which learn from the labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gennas.supernets.strategies.base import Step, Strategy, expect_range, mean_of


@dataclass(frozen=True)
class Uniform(Strategy):
    """In each step some random paths learn from the labels, each on its own.

    Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020,
    https://arxiv.org/abs/1904.00420. Paths are drawn as the settings of the training say.

    Args:
        random: paths per step, whose gradients are added up.
    """

    name = "uniform"
    random: int = 1

    def __post_init__(self) -> None:
        expect_range(self, "random", 1, 100, "1 to 100")

    def learn(self, step: Step) -> Tensor:
        archs = [step.paths.random(step.rng) for _ in range(self.random)]
        return mean_of([step.learn(arch, step.criterion, 1 / len(archs))[1] for arch in archs])
