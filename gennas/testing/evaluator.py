"""The contract of evaluators."""

from __future__ import annotations

import math
import pickle

import numpy as np

from gennas.evaluators.base import Evaluator
from gennas.spaces.base import Space
from gennas.tasks import Task
from gennas.testing.contract import check, parsed


def check_evaluator(evaluator: Evaluator, space: Space, task: Task, seed: int = 0) -> None:
    """Tests that what an evaluator returns can be kept in a study.

    Args:
        evaluator: the evaluator; it evaluates two archs, and one of them twice.
        space: the space of its archs.
        task: what the networks are for.
        seed: chooses the archs, and is handed to the evaluations.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    source = getattr(evaluator, "source", None)
    check(isinstance(source, str) and len(source.split()) == 1, "source is one word, e.g. 'measured'", source)
    rng = np.random.default_rng(seed)
    first, second = space.sample(rng), space.sample(rng)
    promised = evaluator.metrics(task)
    check(isinstance(promised, tuple) and bool(promised), "metrics(): is a tuple with at least one name", promised)
    values = evaluator.evaluate(first, task=task, seed=seed)
    check(bool(values), "evaluate(): returns at least one metric", values)
    for name, value in values.items():
        # What is only reported is a metric too, though nothing may be chosen by it.
        metric = parsed(name.removeprefix("test_"), "evaluate(): keys are metric names with their place")
        placed = metric.kind.scope == "arch" or metric.target is not None
        check(placed, "evaluate(): keys are metric names with their place", name)
        if metric.kind.scope == "task":
            check(metric.target == task.name, f"evaluate(): {metric.kind.name} is that of the task", name)
        number = isinstance(value, float) and math.isfinite(value)
        check(number, f"evaluate(): {name} is a finite float", value)
        lower, upper = metric.kind.lower, metric.kind.upper
        within = lower <= value <= upper
        check(within, f"evaluate(): {name} lies between {lower:g} and {upper:g} {metric.kind.unit}", value)
    check(set(promised) <= set(values), f"evaluate(): gives what metrics() promises, {promised}", sorted(values))
    again = evaluator.evaluate(first, task=task, seed=seed)
    check(set(again) == set(values), "evaluate(): the same arch and seed have the same metrics", sorted(again))
    other = evaluator.evaluate(second, task=task, seed=seed)
    check(set(other) == set(values), "evaluate(): every arch has the same metrics", sorted(other))
    conditions = evaluator.conditions(seed, 1)
    check(conditions == evaluator.conditions(seed, 1), "conditions(): are the same for the same seed", conditions)
    check(not (evaluator.is_instant and evaluator.is_exclusive), "what is instant needs no machine of its own", "both")
    if not evaluator.is_instant:
        copied = _copied(evaluator)
        same = copied.metrics(task) == promised and copied.conditions(seed, 1) == conditions
        check(same, "a pickled copy has the same metrics and conditions", copied.metrics(task))


def _copied(evaluator: Evaluator) -> Evaluator:
    """What a worker gets."""
    try:
        return pickle.loads(pickle.dumps(evaluator))
    except Exception as error:
        # What cannot be pickled raises whatever its class raises.
        raise AssertionError(f"an evaluator that is not instant can be pickled; found {error!r}") from error
