"""Splits: parts of the space whose archs pull shared weights apart get supernets of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gennas.arch import Arch
from gennas.errors import InvalidArchError
from gennas.supernets.base import Supernet
from gennas.supernets.divided import Cut, DividedSupernet
from gennas.supernets.paths import Paths
from gennas.supernets.strategies.base import Step, expect_range
from gennas.supernets.strategies.sandwich import Sandwich

#: Slots with more choices are not divided: there are too many ways.
_MOST_CHOICES = 6


@dataclass(frozen=True)
class Splits(Sandwich):
    """The sandwich rule, after some epochs with a supernet for each of several parts of the space.

    The space is divided at the slot whose choices ask for the most different gradients of the weights that they share:
    its choices are put into two groups, so that the mean cosine of gradients between groups is least. Zhao et al.,
    "Few-shot Neural Architecture Search", ICML 2021, https://arxiv.org/abs/2006.06863, with the division of Hu et al.,
    "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022, https://arxiv.org/abs/2203.15207. Here all slots are
    measured once, on the undivided supernet. Memory doubles with each division, and each part is trained by those paths
    that are drawn in it.

    Args:
        divisions: each doubles the number of supernets.
        warm_up: epochs before the space is divided.
        slots: that are measured, drawn at random where there are more.
        trials: batches that gradients are averaged over.
    """

    name = "splits"
    divisions: int = 1
    warm_up: int = 2
    slots: int = 12
    trials: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_range(self, "divisions", 1, 3, "1 to 3")
        expect_range(self, "warm_up", 0, 10_000, "at least 0")
        expect_range(self, "slots", 1, 10_000, "at least 1")
        expect_range(self, "trials", 1, 100, "1 to 100")

    @property
    def shared_epochs(self) -> int:
        return self.warm_up

    def grown(self, supernet: Supernet, trial: Callable[[int], Step]) -> Supernet:
        return DividedSupernet(supernet, self.cuts(trial))

    @classmethod
    def regrown(cls, supernet: Supernet, config: Mapping[str, Any]) -> Supernet:
        return DividedSupernet(supernet, [Cut(slot, tuple(second)) for slot, second in config["cuts"]])

    def cuts(self, trial: Callable[[int], Step]) -> list[Cut]:
        """The best divisions, the best one first."""
        step = trial(0)
        paths, rng = step.paths, step.rng
        slots = [slot for slot in range(len(paths.allowed)) if 2 <= len(paths.choices(slot)) <= _MOST_CHOICES]
        found: list[tuple[float, Cut]] = []
        for slot in rng.permutation(slots)[: self.slots].tolist():
            choices = paths.choices(slot).tolist()
            cosines = self._cosines(slot, choices, trial, rng)
            if cosines is not None:
                score, second = least_alike(cosines)
                words = paths.space.template.vocabulary
                found.append((score, Cut(slot, tuple(words[choices[number]] for number in second))))
        return [cut for _, cut in sorted(found)[: self.divisions]]

    def _cosines(
        self, slot: int, choices: list[int], trial: Callable[[int], Step], rng: np.random.Generator
    ) -> np.ndarray | None:
        """``(c, c)`` mean cosines of the gradients of weights that two choices share; None where rules forbid one."""
        total = np.zeros((len(choices), len(choices)))
        for number in range(self.trials):
            step = trial(number)
            archs = _alternatives(step.paths, slot, choices, rng)
            if archs is None:
                return None
            gradients = [_gradient(step, arch) for arch in archs]
            for one, other in combinations(range(len(choices)), 2):
                total[one, other] += _cosine(gradients[one], gradients[other]) / self.trials
        return total + total.T


def least_alike(cosines: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """The division of choices in two groups whose mean cosine is least: the mean, and the second group.

    Args:
        cosines: ``(c, c)``, symmetric; those with themselves do not count.
    """
    everything = range(len(cosines))
    found = []
    for size in range(1, len(cosines) // 2 + 1):
        for second in combinations(everything, size):
            first = [number for number in everything if number not in second]
            found.append((float(cosines[np.ix_(first, second)].mean()), second))
    return min(found)


def _alternatives(paths: Paths, slot: int, choices: list[int], rng: np.random.Generator) -> list[Arch] | None:
    """Archs that differ in one slot alone."""
    arch = paths.trunk(rng)
    try:
        return [paths.with_choice(arch, slot, op) for op in choices]
    except InvalidArchError:
        return None


def _gradient(step: Step, arch: Arch) -> dict[str, Tensor]:
    """The gradients of an arch's loss; the supernet has none afterwards."""
    step.supernet.zero_grad()
    step.learn(arch, step.criterion)
    found = {name: weight.grad for name, weight in step.supernet.named_parameters() if weight.grad is not None}
    step.supernet.zero_grad()
    return found


def _cosine(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The cosine of the angle between gradients of the weights that both have."""
    shared = [name for name in one if name in other]
    first, second = (torch.cat([found[name].flatten() for name in shared]) for found in (one, other))
    return float(functional.cosine_similarity(first, second, dim=0))
