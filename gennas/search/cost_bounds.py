"""Bounds on costs that no arch keeps are refused before a search begins."""

from __future__ import annotations

import numpy as np

from gennas.diffusion.guides.costs import CostModel
from gennas.errors import InfeasibleError
from gennas.problem import Problem
from gennas.search.mutation import cost_feasibility, random_archs


def check_cost_bounds(problem: Problem) -> None:
    """Refuses bounds on costs that no arch keeps: a search would find out only after it has looked everywhere.

    Raises:
        InfeasibleError: says which bound binds and the best reachable value.
    """
    bounds = problem.bounds_on_costs
    if not bounds or random_archs(
        problem.space, 1, np.random.default_rng(0), is_feasible=cost_feasibility(problem), among=problem.among
    ):
        return
    for bound in bounds:
        CostModel(problem.space, problem.task, bound.metric).check(bound)
    which = "arch that was drawn" if problem.among is None else "arch among those that may be proposed"
    raise InfeasibleError(
        f"no {problem.space.name} {which} keeps {' and '.join(map(repr, map(str, bounds)))}. Loosen a bound."
    )
