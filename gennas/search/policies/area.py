"""AREA: regularised evolution that begins with what an untrained network promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.search.base import History, Proposal
from gennas.search.mutation import cost_feasibility, random_archs
from gennas.search.policies.regularised_evolution import RegularisedEvolution


@dataclass(frozen=True, eq=False)
class Area(RegularisedEvolution):
    """Regularised evolution whose first population are the best of many random archs by NASWOT.

    Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training", ICML 2021. Every batch of the
    first population is chosen from its share of the random archs. The score uses no label of the table, but images of
    the task.

    Args:
        problem: what is searched.
        population: how many archs live.
        sample: how many of them compete to be the parent.
        drawn: how many random archs are scored.
        scores: of archs or of the functions that they compute (``space.canonical``), by key, with a column ``naswot``:
            a frame, or a Parquet file as ``scripts/build_proxies.py`` writes it; an arch without a score comes last.
            Where it is not given, networks are built and scored on the task's images.
    """

    name = "area"
    drawn: int = 600
    scores: pd.DataFrame | Path | None = None
    _computed: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def first(self, count: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        """The best of as many times more random archs."""
        share = -(-count * self.drawn // self.population)
        archs = random_archs(
            self.problem.space, share, rng, history.taken, cost_feasibility(self.problem), self.problem.among
        )
        scores = self._scores(archs)
        # Without a score comes last.
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[:count]
        return [Proposal(archs[row], "scored", None if np.isnan(scores[row]) else float(scores[row])) for row in order]

    def _scores(self, archs: Sequence[Arch]) -> np.ndarray:
        if self._given is not None:
            canonical = self.problem.space.canonical
            found = [self._given.get(arch.key, self._given.get(canonical(arch).key, np.nan)) for arch in archs]
            return np.array(found, dtype=float)
        from gennas.proxies.scoring import proxy_scores

        fresh = [arch for arch in archs if arch.key not in self._computed]
        table = proxy_scores(self.problem.space, fresh, self.problem.task, ["naswot"])
        self._computed.update({str(key): float(value) for key, value in table["naswot"].items()})
        return np.array([self._computed[arch.key] for arch in archs], dtype=float)

    @cached_property
    def _given(self) -> dict[str, float] | None:
        if self.scores is None:
            return None
        frame = self.scores if isinstance(self.scores, pd.DataFrame) else pd.read_parquet(self.scores)
        frame = frame.set_index("key") if "key" in frame else frame
        if "naswot" not in frame:
            raise InvalidInputError(
                f"the scores have the columns {', '.join(map(str, frame.columns))}; expected naswot, and keys as index."
            )
        given = {str(key): float(value) for key, value in frame["naswot"].items()}
        # Archs that compute the same function have the same score.
        space = self.problem.space
        return {space.canonical(space.parse(key)).key: value for key, value in given.items()} | given
