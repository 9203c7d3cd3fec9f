"""MixedSupernet: several sets of weights, of which every arch has its own mixture."""

from __future__ import annotations

import copy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gennas.arch import Arch
from gennas.supernets.base import Supernet
from gennas.tasks import Task

_HIDDEN = 32


class MixedSupernet(Supernet):
    """Every arch's weights are a mean of several sets of weights; a small network gives the share of each set.

    Args:
        supernet: the first set; taken over. The others are copies of it with noise, so that they can become different.
        sets: of weights.
        noise: std of the noise as a share of that of a tensor's weights.
    """

    def __init__(self, supernet: Supernet, sets: int, noise: float = 0.0) -> None:
        super().__init__()
        self.space, self.task, self.origin = supernet.space, supernet.task, dict(supernet.origin)
        self.sets = nn.ModuleList([supernet, *(copy.deepcopy(supernet) for _ in range(sets - 1))])
        self.slots = np.flatnonzero(self.space.template.allowed.sum(1) > 1)
        features = len(self.slots) * len(self.space.template.vocabulary)
        self.shares = nn.Sequential(nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, sets))
        with torch.no_grad():
            for other in list(self.sets)[1:]:
                for weight in other.parameters():
                    if weight.ndim > 1:
                        weight.add_(torch.randn_like(weight) * (noise * weight.std()))

    @property
    def first(self) -> Supernet:
        """The first set."""
        return cast(Supernet, self.sets[0])

    def code(self, arch: Arch) -> Tensor:
        """The shares ``(sets,)`` of an arch, which add up to 1."""
        ops = torch.from_numpy(self.space.arrays([arch])[0][0][self.slots])
        words = nn.functional.one_hot(ops, len(self.space.template.vocabulary)).flatten().float()
        device = next(self.shares.parameters()).device
        return cast(Tensor, self.shares(words.to(device))).softmax(0)

    def mixed(self, arch: Arch) -> dict[str, Tensor]:
        """The weights of an arch, by their names in one set."""
        code = self.code(arch)
        sets = [dict(one.named_parameters()) for one in self.sets]
        return {
            name: torch.stack([share * one[name] for share, one in zip(code, sets, strict=True)]).sum(0)
            for name in sets[0]
        }

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        logits: Tensor = functional_call(self.first, self.mixed(arch), (x, arch))
        return logits

    @torch.no_grad()
    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        supernet = copy.deepcopy(self.first)
        supernet.load_state_dict(self.mixed(arch), strict=False)
        return supernet.inherit(arch, task)

    def largest(self) -> Arch | None:
        return self.first.largest()

    def smallest(self) -> Arch | None:
        return self.first.smallest()

    def classifier(self) -> nn.Module | None:
        return self.first.classifier()

    def config(self) -> dict[str, Any]:
        return {"strategy": "k_shot", "sets": len(self.sets)}
