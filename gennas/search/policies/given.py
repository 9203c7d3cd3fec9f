"""A policy that proposes archs that somebody has chosen already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gennas.arch import Arch
from gennas.search.base import History, Policy, PredictedValue, Proposal


class GivenArchs(Policy):
    """Proposes given archs in their order.

    Args:
        archs: distinct ones, numbered as :meth:`gennas.spaces.Space.canonicalised` does.
        predicted: key -> metric -> what is expected of it, where somebody has predicted it.
    """

    name = "given"

    def __init__(
        self, archs: Sequence[Arch], predicted: Mapping[str, Mapping[str, PredictedValue]] | None = None
    ) -> None:
        self.archs, self.predicted = tuple(archs), dict(predicted or {})

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        new = [arch for arch in self.archs if arch not in history.taken][:q]
        return [Proposal(arch, "given", predicted=self.predicted.get(arch.key, {})) for arch in new]
