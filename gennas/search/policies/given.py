"""A policy that proposes archs that somebody has chosen already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gennas.arch import Arch
from gennas.search.base import History, Policy, Proposal


class GivenArchs(Policy):
    """Proposes given archs in their order.

    Args:
        archs: distinct ones, numbered as :meth:`gennas.spaces.Space.canonicalised` does.
    """

    name = "given"

    def __init__(self, archs: Sequence[Arch]) -> None:
        self.archs = tuple(archs)

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return [Proposal(arch, "given") for arch in self.archs if arch not in history.taken][:q]
