"""Plasticity: weights that mattered to paths before are held where they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.supernets.base import Supernet
from gennas.supernets.strategies.base import Step, Strategy, expect_range


@dataclass(eq=False)
class Plasticity(Strategy):
    """One path is trained for some steps, while weights that it shares with those before are pulled back to theirs.

    The pull is the diagonal of the Fisher information, squared gradients averaged over paths, times the distance from
    where the path before left the weights: Benyahia et al., "Overcoming Multi-Model Forgetting", ICML 2019,
    https://arxiv.org/abs/1902.08232, equation 8. The information is scaled to a mean of 1, and the pull is limited to
    the norm of the loss's gradient.

    Args:
        steps: with each path.
        strength: of the pull.
        memory: share of the information that is kept from path to path.
    """

    name = "plasticity"
    steps: int = 3
    strength: float = 1.0
    memory: float = 0.9
    _arch: Arch | None = field(default=None, init=False, repr=False)
    _left: int = field(default=0, init=False, repr=False)
    _information: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    _before: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    _squares: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        expect_range(self, "steps", 2, 10_000, "at least 2: in the first there is nothing to pull back")
        expect_range(self, "strength", 0.0, 1e6, "at least 0")
        expect_range(self, "memory", 0.0, 1.0, "0 to 1")

    def learn(self, step: Step) -> Tensor:
        if self._arch is None or not self._left:
            self._remember(step.supernet)
            self._arch, self._left = step.paths.random(step.rng), self.steps
        return step.learn(self._arch, step.criterion)[1]

    @torch.no_grad()
    def finish(self, supernet: Supernet) -> None:
        for name, weight in supernet.named_parameters():
            if weight.grad is None:
                continue
            square = weight.grad.square()
            self._squares[name] = self._squares.get(name, torch.zeros(())).to(square.device) + square
            if name in self._information:
                information, before = (known[name].to(weight.device) for known in (self._information, self._before))
                pull = self.strength * information * (weight - before)
                most = weight.grad.norm() / pull.norm().clamp_min(1e-12)
                weight.grad.add_(pull * most.clamp_max(1.0))
        self._left -= 1

    @torch.no_grad()
    def _remember(self, supernet: Supernet) -> None:
        """What the weights of the last path matter, and where it left them, once its last step is taken."""
        total = sum(float(square.sum()) for square in self._squares.values())
        count = sum(square.numel() for square in self._squares.values())
        scale = count / max(total, 1e-30)
        for name, weight in supernet.named_parameters():
            if name in self._squares:
                square = self._squares[name].to(weight.device) * scale
                known = self._information.get(name, torch.zeros(())).to(weight.device)
                self._information[name] = self.memory * known + (1 - self.memory) * square
                self._before[name] = weight.detach().clone()
        self._squares = {}

    def state(self) -> dict[str, Any]:
        return {
            "key": None if self._arch is None else [self._arch.space, self._arch.key, list(self._arch.ops)],
            "edges": [] if self._arch is None else [list(edge) for edge in self._arch.edges],
            "left": self._left,
            "information": dict(self._information),
            "before": dict(self._before),
            "squares": dict(self._squares),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        self._arch = None
        if state["key"] is not None:
            space, key, ops = state["key"]
            self._arch = Arch(space, key, tuple(ops), tuple((i, j) for i, j in state["edges"]))
        self._left = state["left"]
        self._information, self._before = dict(state["information"]), dict(state["before"])
        self._squares = dict(state["squares"])
