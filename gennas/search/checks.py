"""What a search refuses: budgets and seeds that are none, and proposals that must not be made."""

from __future__ import annotations

from collections.abc import Sequence

from gennas.errors import InvalidInputError
from gennas.problem import Problem
from gennas.search.base import History
from gennas.spaces import JointSpace


def check_budget(budget: int) -> None:
    """Refuses a budget of nothing.

    Raises:
        InvalidInputError: it is below 1.
    """
    if budget < 1:
        raise InvalidInputError(f"is {budget}; must be at least 1.", argument="budget")


def check_objective(problem: Problem) -> None:
    """Refuses a problem of which no arch is better than another, for one of its tasks or at all.

    Raises:
        InvalidInputError: its objective is ``none``; or with several tasks, it has nothing of one of them, or a metric
            of another task.
    """
    if not problem.objective.metrics:
        raise InvalidInputError("is none; a search needs metrics to optimise, e.g. accuracy.", argument="objective")
    if not problem.others:
        return
    names = [task.name for task in problem.tasks]
    for task in problem.tasks:
        if task.name not in problem.objective.tasks:
            raise InvalidInputError(
                f"is {str(problem.objective)!r}, which has nothing of task {task.name!r}; add e.g. "
                f"{task.targets.score}@{task.name}, or leave the task out.",
                argument="objective",
            )
    for metric in problem.metrics:
        if metric.kind.scope == "task" and metric.target not in names:
            raise InvalidInputError(
                f"names {', '.join(names)}, but {metric.name} is wanted; add the task, or leave the metric out.",
                argument="task",
            )


def check_trains(problem: Problem, instead: str) -> None:
    """Refuses a search of recipes in which nothing is trained by them.

    Args:
        problem: what is searched for.
        instead: what gives the accuracies in place of trainings; empty for nothing.

    Raises:
        InvalidInputError: archs choose their recipe, and something does.
    """
    if instead and isinstance(problem.space, JointSpace):
        raise InvalidInputError(
            f"is given, but {instead} gives the accuracies, and nothing is trained by a recipe; leave one of them out.",
            argument="recipe_space",
        )


def check_seed(seed: int) -> None:
    """Refuses what is no seed.

    Raises:
        InvalidInputError: it is negative.
    """
    if seed < 0:
        raise InvalidInputError(f"seed is {seed}; must be at least 0.")


def check_proposals(keys: Sequence[str], q: int, history: History, name: str) -> None:
    """Refuses what a policy must not propose.

    Raises:
        InvalidInputError: an arch twice, or more than were asked for.
    """
    repeated = history.keys & set(keys) or {key for key in keys if keys.count(key) > 1}
    if repeated or len(keys) > q:
        what = f"{min(repeated)!r} again" if repeated else f"{len(keys)} archs"
        raise InvalidInputError(f"policy {name!r} proposed {what}; expected at most {q} new ones.")
