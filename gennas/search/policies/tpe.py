"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gennas.arch import Arch
from gennas.errors import DataMissingError
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.policies.decisions import Decisions
from gennas.search.policies.fitness import excesses
from gennas.search.policies.random_search import fill_with_random

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True, eq=False)
class Tpe(Policy):
    """Archs that are likelier among the good ones than among the others, as Optuna's ``TPESampler`` draws them.

    Bergstra, Bardenet, Bengio and Kegl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; with several
    objectives Ozaki, Tanigaki, Watanabe and Onishi, "Multiobjective Tree-Structured Parzen Estimator", JAIR 2022. Every
    decision of the space is a category, with the sampler's defaults. The study is made again from the history: running
    archs are running trials, those that failed or whose objective is not known are pruned ones, bounds are constraints.
    A draw that breaks a rule of the space or a bound on costs, or that is not new, is forgotten and drawn again.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        tries: draws for each arch, after which it is a random one.
    """

    name = "tpe"
    problem: Problem
    first: int = 10
    tries: int = 50

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        proposals: list[Proposal] = []
        if len(history.archs) >= self.first:
            with _quiet():
                study = self._study(history, seed=int(rng.integers(2**32)))
                chosen: list[Arch] = []
                while len(chosen) < q and (arch := self._drawn(study, history, chosen)) is not None:
                    chosen.append(arch)
                proposals = [Proposal(arch, "drawn") for arch in chosen]
        return fill_with_random(self.problem, proposals, q, history, rng)

    def _drawn(self, study: Study, history: History, chosen: list[Arch]) -> Arch | None:
        """An arch that may be proposed, whose trial keeps running; None where all tries were in vain."""
        from optuna.trial import TrialState

        for _ in range(self.tries):
            trial = study.ask(self._distributions)
            row = [trial.params[name] for name in self._decisions.names]
            if (arch := self._decisions.proposable(row, self.problem, history, chosen)) is not None:
                return arch
            study.tell(trial, state=TrialState.FAIL)
        return None

    def _study(self, history: History, seed: int) -> Study:
        import optuna
        from optuna.trial import TrialState, create_trial

        gains = self.problem.gains(history.values)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
        study = optuna.create_study(sampler=sampler, directions=["maximize"] * gains.shape[1])
        known = np.isfinite(gains).all(1)
        broken = np.nan_to_num(excesses(self.problem, history.values))
        for row, decided in enumerate(self._decisions.of(history.archs).tolist()):
            state = TrialState.COMPLETE if known[row] and not history.failed[row] else TrialState.PRUNED
            if history.pending[row]:
                state = TrialState.RUNNING
            trial = create_trial(
                state=state,
                values=gains[row].tolist() if state == TrialState.COMPLETE else None,
                params=dict(zip(self._decisions.names, decided, strict=True)),
                distributions=self._distributions,
                constraints={str(column): value for column, value in enumerate(broken[row].tolist())},
            )
            study.add_trial(trial)
        return study

    @cached_property
    def _decisions(self) -> Decisions:
        return Decisions(self.problem.space)

    @cached_property
    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        choices = (CategoricalDistribution(range(size)) for size in self._decisions.sizes.tolist())
        return dict(zip(self._decisions.names, choices, strict=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says of every study that it was made."""
    try:
        import optuna
    except ImportError as error:
        raise DataMissingError(f"tpe needs optuna ({error}); install it: pip install 'gennas[bench]'") from error
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
