"""Evaluating what was proposed: each arch by one evaluator after the other, every outcome stored at once."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gennas.arch import Arch
from gennas.errors import GennasError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.worker import described
from gennas.problem import Problem
from gennas.studies.cache import Cache
from gennas.studies.records import Evaluation, Failure, Row, evaluations_of
from gennas.studies.study import Study

#: How often an evaluation that is lost with its worker is begun in all.
_ATTEMPTS = 3


@dataclass(eq=False)
class Candidate:
    """A proposed arch, and how far its evaluation is.

    Attributes:
        number: of the proposal.
        batch: that it was proposed in.
        arch: the arch.
        proposed_by: as of :class:`gennas.search.base.Proposal`.
        acquisition_value: as of :class:`gennas.search.base.Proposal`.
        values: what is known of it.
        stage: evaluators that are done with it.
        attempts: of the present evaluator that failed.
        done: no further value will come.
        failed: because an evaluation failed.
    """

    number: int
    batch: int
    arch: Arch
    proposed_by: str
    acquisition_value: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    stage: int = 0
    attempts: int = 0
    done: bool = False
    failed: bool = False


class EvaluationPipeline:
    """Leads candidates through the evaluators.

    Args:
        problem: its bounds decide whether an arch is evaluated any further.
        evaluators: in their order.
        study: where every outcome is stored.
        executor: for evaluators that are not instant.
        seed: of the evaluations.
        fidelity: of the evaluations.
        timeout: seconds for each.
        cache: evaluations of other studies.
        report: is told how many candidates are done, and a note.
    """

    def __init__(
        self,
        problem: Problem,
        evaluators: Sequence[Evaluator],
        study: Study,
        executor: Executor | None,
        seed: int,
        fidelity: int | None,
        timeout: float | None,
        cache: Cache | None,
        report: Callable[[int, str], None],
    ) -> None:
        self.problem = problem
        self.evaluators = evaluators
        self.study = study
        self.executor = executor
        self.seed = seed
        self.fidelity = fidelity
        self.timeout = timeout
        self.cache = cache
        self.report = report
        self.candidates: list[Candidate] = []
        self.running: dict[int, Candidate] = {}
        self._rows: list[Row] = []
        self._notes: list[tuple[int, str]] = []
        self._stored: dict[str, list[Evaluation]] = defaultdict(list)
        self._failures: dict[str, list[Failure]] = defaultdict(list)

    def restore(self) -> None:
        """Takes up what the study holds."""
        for row in self.study.find():
            self._stored[row.arch].append(row)
        for failure in self.study.failures():
            self._failures[failure.arch].append(failure)
        parse = self.problem.space.parse
        stored = self.study.proposals()
        self.begin(
            [
                Candidate(one.number, one.batch, parse(one.arch), one.proposed_by, one.acquisition_value)
                for one in stored
            ]
        )

    def begin(self, candidates: Sequence[Candidate]) -> None:
        """Evaluates candidates as far as that takes no time, and hands the rest to the executor."""
        self.candidates += candidates
        for candidate in candidates:
            self._advance(candidate)
        self._store()

    def wait(self) -> None:
        """Waits until something has finished, and stores it."""
        assert self.executor is not None
        for finished in self.executor.wait():
            candidate = self.running.pop(finished.job.number)
            self._take(candidate, finished)
            self._store()
            self._advance(candidate)
            self._store()

    def _advance(self, candidate: Candidate) -> None:
        """On to the next evaluation that takes time, or to the end."""
        while not candidate.done:
            if candidate.stage == len(self.evaluators) or self._breaks_a_bound(candidate):
                self._end(candidate, "")
                return
            evaluator = self.evaluators[candidate.stage]
            if self._recalled(candidate, evaluator):
                continue
            job = Job(
                candidate.number, candidate.arch, evaluator, self.problem.task, self.seed, self.fidelity, self.timeout
            )
            if not evaluator.is_instant:
                assert self.executor is not None
                self.executor.submit(job)
                self.running[candidate.number] = candidate
                return
            self._take(candidate, _evaluated_here(job))

    def _breaks_a_bound(self, candidate: Candidate) -> bool:
        known = ((bound, candidate.values.get(bound.metric.name)) for bound in self.problem.where)
        return any(value is not None and not bound.holds(value) for bound, value in known)

    def _recalled(self, candidate: Candidate, evaluator: Evaluator) -> bool:
        """Whether the outcome of an evaluation was known already."""
        conditions = evaluator.conditions(self.seed, self.fidelity)
        of_this = {**vars(conditions), "task": self.problem.task.name}
        failures = [
            failure
            for failure in self._failures.get(candidate.arch.key, [])
            if failure.metrics == self._promised(evaluator) and _has(failure, of_this)
        ]
        if failures:
            candidate.attempts = max(failure.attempt for failure in failures)
            if candidate.attempts >= _ATTEMPTS or any(failure.reason != "lost" for failure in failures):
                candidate.failed = True
                self._end(candidate, failures[-1].reason)
                return True
        of_this |= {"source": evaluator.source, "space": candidate.arch.space}
        rows = [row for row in self._stored.get(candidate.arch.key, []) if _has(row, of_this)]
        if self._complete(candidate, evaluator, rows):
            return True
        # What is instant costs less than looking it up, and what this machine is measured for is of no use elsewhere.
        if self.cache is None or evaluator.is_instant or evaluator.is_exclusive:
            return False
        space, task = self.problem.space, self.problem.task
        rows = self.cache.look_up(
            candidate.arch, space=space, task=task, source=evaluator.source, conditions=conditions
        )
        if not self._complete(candidate, evaluator, rows):
            return False
        self._rows += rows
        return True

    def _complete(self, candidate: Candidate, evaluator: Evaluator, rows: Sequence[Evaluation]) -> bool:
        """Takes rows for an evaluation's outcome, if they are all of it."""
        values = {row.metric: row.value for row in rows}
        whole = set(evaluator.metrics(self.problem.task)) <= set(values)
        if not whole or not all(map(math.isfinite, values.values())):
            return False
        self._pass(candidate, values)
        return True

    def _take(self, candidate: Candidate, finished: JobResult) -> None:
        """Takes what came of an evaluation; it is to be stored."""
        evaluator, values = finished.job.evaluator, finished.values
        if values is None:
            self._fail(candidate, evaluator, finished.reason or "raised", finished.message, finished.seconds)
            return
        if missing := [name for name in evaluator.metrics(self.problem.task) if name not in values]:
            self._fail(candidate, evaluator, "raised", f"it gave no {', '.join(missing)}", finished.seconds)
            return
        if strange := [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]:
            self._fail(candidate, evaluator, "not_finite", ", ".join(strange), finished.seconds)
            return
        task, seconds = self.problem.task, finished.seconds
        try:
            rows = evaluations_of(
                evaluator, candidate.arch, task, values, seed=self.seed, fidelity=self.fidelity, seconds=seconds
            )
        except GennasError as error:
            self._fail(candidate, evaluator, "raised", str(error), seconds)
            return
        self._rows += rows
        self._pass(candidate, values)
        if self.cache is not None and not (evaluator.is_instant or evaluator.is_exclusive):
            self.cache.add(rows, space=self.problem.space, task=task)

    def _pass(self, candidate: Candidate, values: dict[str, float]) -> None:
        candidate.values |= values
        candidate.stage += 1
        candidate.attempts = 0

    def _fail(self, candidate: Candidate, evaluator: Evaluator, reason: str, message: str, seconds: float) -> None:
        candidate.attempts += 1
        conditions = evaluator.conditions(self.seed, self.fidelity)
        failure = Failure(
            arch=candidate.arch.key,
            task=self.problem.task.name,
            metrics=self._promised(evaluator),
            reason=reason,
            message=message,
            attempt=candidate.attempts,
            seed=conditions.seed,
            fidelity=conditions.fidelity,
            recipe=conditions.recipe,
            seconds=seconds,
        )
        self._rows.append(failure)
        self._failures[candidate.arch.key].append(failure)
        if reason == "lost" and candidate.attempts < _ATTEMPTS:
            self._notes.append((self._done, f"{candidate.arch}: {message}; it is tried again"))
            return
        candidate.failed = True
        self._end(candidate, f"{reason}: {message}")

    def _end(self, candidate: Candidate, note: str) -> None:
        candidate.done = True
        self._notes.append((self._done, f"{candidate.arch}{note and ': '}{note}"))

    @property
    def _done(self) -> int:
        return sum(candidate.done for candidate in self.candidates)

    def _promised(self, evaluator: Evaluator) -> str:
        return ",".join(evaluator.metrics(self.problem.task))

    def _store(self) -> None:
        """Stores what is new, and only then tells of it."""
        rows, notes = self._rows, self._notes
        self._rows, self._notes = [], []
        if rows:
            self.study.add(rows)
        for done, note in notes:
            self.report(done, note)


def _has(row: Row, facts: dict[str, str | int]) -> bool:
    return all(getattr(row, name) == value for name, value in facts.items())


def _evaluated_here(job: Job) -> JobResult:
    start = time.perf_counter()
    try:
        given = job.evaluator.evaluate(job.arch, task=job.task, seed=job.seed, fidelity=job.fidelity)
        values = {str(name): float(value) for name, value in given.items()}
    except Exception as error:
        # Whatever an evaluator raises, the other archs may fare better.
        return JobResult(job, None, "raised", described(error), time.perf_counter() - start)
    return JobResult(job, values, seconds=time.perf_counter() - start)
