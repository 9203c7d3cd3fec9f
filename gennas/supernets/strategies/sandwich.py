"""Sandwich: the largest and the smallest path of every step, and random ones between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

from torch import Tensor

from gennas.arch import Arch
from gennas.supernets.strategies.base import Step, Strategy, expect_range, expect_word, mean_of
from gennas.supernets.strategies.divergence import Divergence, divergence_of


@dataclass(frozen=True)
class Sandwich(Strategy):
    """In each step the largest path learns from the labels, and the smallest and random ones learn from its answers.

    Yu et al., "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models", ECCV 2020,
    https://arxiv.org/abs/2003.11142. Where the training has a teacher of its own, all learn from it. Where a space has
    no largest arch, all paths are random and learn from the labels.

    Args:
        random: random paths per step.
        smallest: whether the smallest path is one of them.
        divergence: between a path's answers and those of its teacher: ``kl`` or AlphaNet's ``alpha``.
    """

    name = "sandwich"
    random: int = 2
    smallest: bool = True
    divergence: Divergence = "kl"

    def __post_init__(self) -> None:
        expect_range(self, "random", 0, 100, "0 to 100")
        expect_word(self, "divergence", get_args(Divergence))

    def learn(self, step: Step) -> Tensor:
        largest, paths = step.paths.largest, self.drawn(step)
        share = 1 / (len(paths) + (largest is not None))
        losses, teacher = [], step.teacher
        if largest is not None:
            answers, loss = step.learn(largest, step.criterion, share)
            losses.append(loss)
            teacher = answers if teacher is None else teacher
        loss_of = step.criterion if teacher is None else partial(divergence_of, teacher=teacher, kind=self.divergence)
        losses += [step.learn(arch, loss_of, share)[1] for arch in paths]
        return mean_of(losses)

    def drawn(self, step: Step) -> list[Arch]:
        """The paths of a step but the largest one."""
        found = [step.paths.random(step.rng) for _ in range(self.random)]
        if self.smallest and step.paths.smallest is not None:
            found.append(step.paths.smallest)
        if step.paths.largest is None and not found:
            found.append(step.paths.random(step.rng))
        return found
