"""SMAC3: a random forest on the decisions of a space."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gennas.arch import Arch
from gennas.errors import DataMissingError
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.policies.decisions import Decisions
from gennas.search.policies.fitness import violation
from gennas.search.policies.random_search import fill_with_random


@dataclass(frozen=True, eq=False)
class Smac(Policy):
    """Expected improvement of a random forest, as SMAC3's facade for hyperparameters proposes, with its defaults.

    Lindauer, Eggensperger, Feurer, Biedenkapp, Deng, Benjamins, Ruhkopf, Sass and Hutter, "SMAC3: A Versatile Bayesian
    Optimization Package for Hyperparameter Optimization", JMLR 2022. Every decision of the space is a category; several
    objectives are weighted at random (ParEGO). SMAC3 has no bounds: what breaks one counts as worse than all that keep
    them, by how far it does, and what failed as the worst of these. The optimiser is made again from the history. What
    it proposes against a rule of the space or a bound on costs, or again, is skipped.

    Args:
        problem: what is searched.
        first: random archs at the beginning.
        challengers: random archs among which each local search begins.
        searches: local searches of the acquisition function.
        tries: proposals for each arch, after which it is a random one.
    """

    name = "smac"
    problem: Problem
    first: int = 10
    challengers: int = 10_000
    searches: int = 10
    tries: int = 16

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        evaluated = np.flatnonzero(~history.pending)
        chosen: list[Arch] = []
        if len(evaluated) >= self.first and not history.failed[evaluated].all():
            from smac.main.exceptions import ConfigurationSpaceExhaustedException

            with _quiet(), TemporaryDirectory() as folder:
                facade = self._facade(history, evaluated, int(rng.integers(2**31)), folder)
                for _ in range(q * self.tries):
                    try:
                        config = facade.ask().config
                    except ConfigurationSpaceExhaustedException:
                        # It gives up after so many draws that it knows; what is left is drawn at random.
                        break
                    row = [int(config[name]) for name in self._names]
                    if (arch := self._decisions.proposable(row, self.problem, history, chosen)) is not None:
                        chosen.append(arch)
                    if len(chosen) == q:
                        break
        proposals = [Proposal(arch, "modelled") for arch in chosen]
        return fill_with_random(self.problem, proposals, q, history, rng)

    def _facade(self, history: History, evaluated: np.ndarray, seed: int, folder: str) -> Any:
        from ConfigSpace import Categorical, Configuration, ConfigurationSpace
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.model.random_forest import RandomForest
        from smac.multi_objective.parego import ParEGO
        from smac.runhistory import TrialInfo, TrialValue

        costs = _costs(self.problem, history.values[evaluated])
        space = ConfigurationSpace(seed=seed)
        sizes = self._decisions.sizes.tolist()
        space.add([Categorical(name, range(size)) for name, size in zip(self._names, sizes, strict=True)])
        objectives = [f"cost{column}" for column in range(costs.shape[1])]
        scenario = Scenario(
            space,
            objectives=objectives if len(objectives) > 1 else objectives[0],
            deterministic=True,
            # Nothing is ever due to end here: how long the search goes on is not the policy's business.
            n_trials=10**9,
            seed=seed,
            output_directory=Path(folder),
        )
        maximizer = HyperparameterOptimizationFacade.get_acquisition_maximizer(
            scenario, challengers=self.challengers, local_search_iterations=self.searches
        )
        _order_starts(maximizer)
        # As the facade makes it; but memory for a million leaves is not cleared for every tree, nor is there a pool of
        # threads for every prediction of ten trees, both of which take longer than the trees do.
        forest = RandomForest(
            space,
            log_y=True,
            n_trees=10,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_leaf_nodes=2 * len(evaluated),
            n_jobs=1,
            seed=seed,
        )
        facade = HyperparameterOptimizationFacade(
            scenario,
            model=forest,
            initial_design=HyperparameterOptimizationFacade.get_initial_design(scenario, n_configs=0),
            acquisition_maximizer=maximizer,
            multi_objective_algorithm=ParEGO(scenario, seed=seed) if len(objectives) > 1 else None,
            logging_level=False,
            overwrite=True,
        )
        decided = self._decisions.of([history.archs[row] for row in evaluated]).tolist()
        for row, cost in zip(decided, costs.tolist(), strict=True):
            config = Configuration(space, values=dict(zip(self._names, row, strict=True)))
            value = TrialValue(cost=cost if len(cost) > 1 else cost[0])
            facade.tell(TrialInfo(config, seed=0), value, save=False)
        return facade

    @cached_property
    def _decisions(self) -> Decisions:
        return Decisions(self.problem.space)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Of the decisions; some characters of a space's own names are not allowed here."""
        return tuple(f"decision{column}" for column in range(len(self._decisions.sizes)))


def _costs(problem: Problem, values: np.ndarray) -> np.ndarray:
    """``(N, m)`` smaller is better, of evaluated values ``(N, M)``, some of them known whole."""
    gains = problem.gains(values)
    good = problem.feasible(values) & np.isfinite(gains).all(1)
    known = gains[good] if good.any() else np.zeros((1, gains.shape[1]))
    worst, spread = known.min(0), np.maximum(np.ptp(known, 0), 1e-6)
    broken = violation(problem, values)
    # What failed tells nothing of how far it was from a bound.
    broken = np.where(problem.broken(values), broken, broken.max(initial=0.0))
    return -np.where(good[:, None], gains, worst - spread * (0.1 + broken[:, None]))


def _order_starts(maximizer: Any) -> None:
    """Local searches begin in a fixed order: SMAC3 takes their starts from a set, whose order is that of string hashes,
    which are others in every process."""
    search = maximizer._local_search
    unordered = search._get_init_points_from_previous_configs

    def ordered(*given: Any) -> list[Any]:
        return sorted(unordered(*given), key=lambda config: tuple(config.get_array()))

    search._get_init_points_from_previous_configs = ordered


@contextmanager
def _quiet() -> Iterator[None]:
    """SMAC3 warns of what is meant here, such as that it has no initial design of its own."""
    try:
        import smac  # noqa: F401
    except ImportError as error:
        raise DataMissingError(f"smac needs SMAC3 ({error}); install it: pip install 'gennas[smac]'") from error
    log = logging.getLogger("smac")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
