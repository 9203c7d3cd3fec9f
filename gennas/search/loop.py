"""The loop of a search: propose, evaluate, learn, repeat; the coordinator of all workers, and the only writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.evaluation import Candidate, EvaluationPipeline
from gennas.studies.cache import Cache
from gennas.studies.records import Proposed
from gennas.studies.study import Study

#: Receives the number of archs that are done with, and a note on the last one.
Report = Callable[[int, str], None]


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
    report: Report = lambda done, note: None,
) -> History:
    """Searches until ``budget`` archs were proposed and evaluated, or the policy has no more.

    Batch ``b`` is proposed by chance ``[seed, b]`` from all results up to batch ``b - 1`` where one evaluation runs at
    a time. Where several do, it is proposed from those up to batch ``b - 2`` while batch ``b - 1`` still runs and is
    shown as pending, even those that have finished: so no worker waits unless one evaluation takes longer than all
    others of its batch and the whole next one. Hence what is proposed depends on the values alone, neither on
    which worker was faster nor on when the run was killed: proposals are stored before they are evaluated, and a
    repeated run goes on with them.

    A failed evaluation is stored, costs one of the budget and is not repeated, unless it was lost with its worker:
    then it is tried up to three times in all. An arch that breaks a bound is not evaluated any further.

    Args:
        problem: what is searched.
        policy: who searches.
        evaluators: in the order in which they are used, cheap ones first; together they give all metrics of the
            problem.
        study: open for writing; the run goes on with what it holds.
        executor: evaluates what is not instant; it stays open. None where all evaluators are instant.
        budget: how many archs, those in the study included.
        batch: how many are proposed at once.
        seed: of proposals and evaluations.
        fidelity: of the evaluations.
        timeout: seconds for one evaluation.
        cache: evaluations of other studies.
        report: is told of progress.

    Returns:
        All archs of the study.

    Raises:
        InvalidInputError: a metric that no evaluator gives, an evaluator without executor, or a policy that
            proposed what it must not.
        StudyError: nothing can be stored, e.g. because the disk is full; repeating the run goes on.
    """
    if budget < 1 or batch < 1:
        raise InvalidInputError(f"budget is {budget} and batch {batch}; expected at least 1 each.")
    _check_evaluators(problem, evaluators, executor)
    several = executor is not None and executor.capacity > 1 and not all(one.is_instant for one in evaluators)
    lookahead = 1 if several else 0
    work = EvaluationPipeline(problem, evaluators, study, executor, seed, fidelity, timeout, cache, report)
    try:
        return _led(work, policy, budget, batch, seed, lookahead)
    except BaseException:
        # What still runs must not come back to whoever uses the executor next.
        if executor is not None:
            executor.stop()
        raise


def _led(work: EvaluationPipeline, policy: Policy, budget: int, batch: int, seed: int, lookahead: int) -> History:
    problem, candidates, exhausted = work.problem, work.candidates, False
    work.restore()
    while True:
        number = candidates[-1].batch + 1 if candidates else 0
        before = [candidate for candidate in candidates if candidate.batch < number - lookahead]
        q = min(batch, budget - len(candidates))
        if q > 0 and not exhausted and all(candidate.done for candidate in before):
            history = _seen(problem, candidates, len(before))
            proposals = policy.propose(q, history, np.random.default_rng([seed, number]))
            # Only an empty answer ends the run: whoever repeats it cannot tell a short batch from a last one.
            exhausted = not proposals
            chosen = _candidates(problem, proposals, len(candidates), number)
            _check(chosen, q, history, policy.name)
            _store(chosen, work.study)
            work.begin(chosen)
        elif work.running:
            work.wait()
        else:
            return _seen(problem, candidates, len(candidates))


def _candidates(problem: Problem, proposals: list[Proposal], first: int, batch: int) -> list[Candidate]:
    archs = problem.space.canonicalised([proposal.arch for proposal in proposals])
    return [
        Candidate(first + i, batch, arch, proposal.proposed_by, proposal.acquisition_value)
        for i, (arch, proposal) in enumerate(zip(archs, proposals, strict=True))
    ]


def _store(candidates: Sequence[Candidate], study: Study) -> None:
    rows = [
        Proposed(
            number=one.number,
            batch=one.batch,
            arch=one.arch.key,
            proposed_by=one.proposed_by,
            acquisition_value=one.acquisition_value,
        )
        for one in candidates
    ]
    study.add(rows)


def _seen(problem: Problem, candidates: Sequence[Candidate], known: int) -> History:
    """What a policy is told: the first ``known`` with their values, the others as pending."""
    names = [metric.name for metric in problem.metrics]
    values = np.full((len(candidates), len(names)), np.nan)
    for row, candidate in zip(values, candidates[:known], strict=False):
        row[:] = [candidate.values.get(name, np.nan) for name in names]
    return History(
        tuple(candidate.arch for candidate in candidates),
        values,
        np.arange(len(candidates)) >= known,
        np.array([candidate.failed for candidate in candidates[:known]] + [False] * (len(candidates) - known), bool),
        tuple(candidate.proposed_by for candidate in candidates),
    )


def _check_evaluators(problem: Problem, evaluators: Sequence[Evaluator], executor: Executor | None) -> None:
    given = {name for evaluator in evaluators for name in evaluator.metrics(problem.task)}
    if missing := [metric.name for metric in problem.metrics if metric.name not in given]:
        raise InvalidInputError(f"no evaluator gives {', '.join(missing)}; they give {', '.join(sorted(given))}.")
    for evaluator in evaluators:
        if executor is None and not evaluator.is_instant:
            raise InvalidInputError(f"{type(evaluator).__name__} takes time; give an executor, e.g. ProcessExecutor().")


def _check(chosen: Sequence[Candidate], q: int, history: History, name: str) -> None:
    keys = [candidate.arch.key for candidate in chosen]
    again = history.keys & set(keys) or {key for key in keys if keys.count(key) > 1}
    if again or len(keys) > q:
        what = f"{min(again)!r} again" if again else f"{len(keys)} archs"
        raise InvalidInputError(f"policy {name!r} proposed {what}; expected at most {q} new ones.")
