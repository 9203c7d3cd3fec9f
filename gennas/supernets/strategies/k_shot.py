"""KShot: every arch mixes several sets of weights in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from gennas.supernets.base import Supernet
from gennas.supernets.mixture import MixedSupernet
from gennas.supernets.strategies.base import Step, expect_range
from gennas.supernets.strategies.sandwich import Sandwich

#: Archs whose shares are balanced in each step.
_BALANCED = 8


@dataclass(frozen=True)
class KShot(Sandwich):
    """The sandwich rule with several sets of weights, of which each arch uses a mean with shares of its own.

    Su et al., "K-shot NAS: Learnable Weight-Sharing for NAS with K-shot Supernets", ICML 2021,
    https://arxiv.org/abs/2106.06442. Shares are learnt with the weights; sets that no arch uses are avoided by keeping
    the mean share of random archs near uniform. Memory grows with the number of sets.

    Args:
        sets: of weights.
        noise: by which the sets differ at first, as a share of the std of a tensor's weights.
        balance: weight of the divergence of mean shares from uniform ones.
    """

    name = "k_shot"
    sets: int = 3
    noise: float = 0.01
    balance: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_range(self, "sets", 2, 16, "2 to 16")
        expect_range(self, "noise", 0.0, 1.0, "0 to 1")
        expect_range(self, "balance", 0.0, 1e3, "at least 0")

    def grown(self, supernet: Supernet, trial: Callable[[int], Step]) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return MixedSupernet(supernet, self.sets, self.noise)

    @classmethod
    def regrown(cls, supernet: Supernet, config: Mapping[str, Any]) -> Supernet:
        return MixedSupernet(supernet, int(config["sets"]))

    def learn(self, step: Step) -> Tensor:
        loss = super().learn(step)
        supernet = cast(MixedSupernet, step.supernet)
        mean = torch.stack([supernet.code(step.paths.random(step.rng)) for _ in range(_BALANCED)]).mean(0)
        step.backward(self.balance * (mean * (mean * self.sets).log()).sum())
        return loss
