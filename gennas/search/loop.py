"""The loop of a search: propose, evaluate, learn, repeat; the coordinator of all workers, and the only writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.search.base import History, Policy
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.search import Search
from gennas.spaces.functions import Distinct
from gennas.studies.cache import Cache
from gennas.studies.study import Study


def run(
    problem: Problem,
    policy: Policy,
    evaluators: Sequence[Evaluator],
    study: Study,
    executor: Executor | None = None,
    *,
    budget: int,
    batch: int,
    seed: int,
    fidelity: int | None = None,
    timeout: float | None = None,
    cache: Cache | None = None,
    distinct: Distinct = "functions",
    report: Report = silent,
) -> History:
    """Searches until ``budget`` archs were evaluated, or the policy has no more.

    Args:
        problem: what is searched for.
        policy: who proposes.
        evaluators: in the order in which they are used, cheap ones first; together they give all metrics of the
            problem.
        study: open for writing; the run resumes what it holds.
        executor: evaluates what is not instant; it stays open. None where all evaluators are instant.
        budget: how many archs, those in the study included, those that a bound stopped before anything costly not: up
            to as many as the budget.
        batch: how many are proposed at once.
        seed: of proposals and evaluations.
        fidelity: of the evaluations.
        timeout: seconds for one evaluation.
        cache: evaluations of other studies.
        distinct: ``functions`` proposes nothing that computes the same as an arch before it; ``archs`` allows it.
        report: receives how much of the budget is done, and a note on the last trial.

    Returns:
        All archs of the study.

    Raises:
        InvalidInputError: a metric that no evaluator gives, an evaluator without executor, or a policy that
            proposed what it must not.
        StudyError: nothing can be stored, e.g. because the disk is full; the same run resumes.
    """
    pipeline = EvaluationPipeline(
        problem,
        evaluators,
        study,
        executor,
        seed=seed,
        fidelity=fidelity,
        timeout=timeout,
        cache=cache,
        distinct=distinct,
        report=report,
    )
    with stopped_on_error(executor):
        search = Search.over(problem, policy, pipeline, budget)
        exhaust(search, batch)
    return search.history()


def exhaust(search: Search, batch: int) -> None:
    """Lets a search go through its budget.

    Batch ``b`` is proposed with the random numbers of ``[seed, b]``, from all results up to batch ``b - 1`` where one
    evaluation runs at a time. Where several do, it is proposed from those up to batch ``b - 2`` while batch ``b - 1``
    still runs and is shown as pending, even those that have finished: so no worker waits unless one evaluation takes
    longer than all others of its batch and the whole next one. Hence what is proposed depends on the values alone,
    neither on which worker was faster nor on when the run was killed: proposals are stored before they are evaluated,
    and a repeated run resumes with them.

    A failed evaluation is stored, costs one of the budget and is not repeated, unless it was lost with its worker:
    then it is tried up to three times in all. An arch that breaks a bound is not evaluated any further, and costs none
    where nothing costly was evaluated of it; see :func:`gennas.search.trials.used`.

    Args:
        search: made by :meth:`gennas.search.search.Search.over`.
        batch: how many archs are proposed at once.

    Raises:
        InvalidInputError: a batch below 1, or a policy that proposed what it must not.
        StudyError: nothing can be stored.
    """
    if batch < 1:
        raise InvalidInputError(f"is {batch}; must be at least 1.", argument="batch")
    pipeline, is_exhausted = search.pipeline, False
    executor = pipeline.executor
    waits = not all(evaluator.is_instant for evaluator in pipeline.evaluators)
    lookahead = 1 if waits and executor is not None and executor.capacity > 1 else 0
    while True:
        trials, number = search.trials, search.next_batch
        visible = [trial.batch < number - lookahead for trial in trials]
        are_done = all(not trial.is_open for trial, sees in zip(trials, visible, strict=True) if sees)
        if not pipeline.running and not search.left(visible):
            # Nothing is left to wait for: what the last batches did not use may be proposed.
            visible, are_done = [True] * len(trials), True
        q = min(batch, search.left(visible))
        if q > 0 and not is_exhausted and are_done:
            # Only an empty answer ends the run: whoever repeats it cannot tell a short batch from a last one.
            is_exhausted = not search.propose(q, visible)
        elif pipeline.running:
            pipeline.wait()
        else:
            return


@contextmanager
def stopped_on_error(executor: Executor | None) -> Iterator[None]:
    """Stops what still runs when the search ends with an error: it must not come back to whoever uses it next."""
    try:
        yield
    except BaseException:
        if executor is not None:
            executor.stop()
        raise
