"""Evaluating trials: each by one evaluator after the other, every outcome stored at once."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from gennas.arch import Arch
from gennas.errors import GennasError, InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.inline import evaluated_here
from gennas.metrics import Metric, first_implausible
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.search.trials import Trial, used
from gennas.spaces.functions import Distinct, key_of
from gennas.studies.cache import Cache
from gennas.studies.records import Evaluation, Failure, Row, evaluations_of
from gennas.studies.study import Study

#: How often an evaluation that is lost with its worker is begun in all.
_ATTEMPTS = 3
#: Begins the cache's keys of what archs of a function share; no arch's own key begins with it.
_FUNCTION = "function:"


class EvaluationPipeline:
    """Leads trials through the evaluators.

    Args:
        problem: its bounds decide whether an arch is evaluated any further.
        evaluators: in their order.
        study: where every outcome is stored.
        executor: for evaluators that are not instant; None where all are.
        seed: of the evaluations.
        fidelity: of the evaluations.
        timeout: seconds for each.
        cache: evaluations of other studies.
        renews: keys of archs that are evaluated again where they failed in an earlier run, or have lost the files that
            their evaluation left.
        distinct: which archs count as one: with ``functions``, what depends on the function alone is evaluated once for
            all archs that compute it.
        report: receives how much of the budget is done, and a note on the last trial.

    Attributes:
        budget: of the search; trials that a bound stopped are not reported as part of it, see
            :func:`gennas.search.trials.used`.

    Raises:
        InvalidInputError: a metric of the problem that no evaluator gives, or an evaluator that needs an executor.
    """

    def __init__(
        self,
        problem: Problem,
        evaluators: Sequence[Evaluator],
        study: Study,
        executor: Executor | None = None,
        *,
        seed: int = 0,
        fidelity: int | None = None,
        timeout: float | None = None,
        cache: Cache | None = None,
        renews: Collection[str] = (),
        distinct: Distinct = "functions",
        report: Report = silent,
    ) -> None:
        _check_evaluators(problem, evaluators, executor)
        self.problem = problem
        self.evaluators = evaluators
        self.study = study
        self.executor = executor
        self.seed = seed
        self.fidelity = fidelity
        self.timeout = timeout
        self.cache = cache
        self.renews = frozenset(renews)
        self.distinct = distinct
        self.key_of = key_of(problem.space, distinct)
        self.report = report
        self.budget = 0
        self.trials: list[Trial] = []
        self.running: dict[int, Trial] = {}
        self._rows: list[Row] = []
        self._new: list[tuple[Evaluator, Arch]] = []
        self._notes: list[tuple[int, str]] = []
        self._stored: dict[str, list[Evaluation]] = defaultdict(list)
        #: The same by what the archs count as.
        self._shared: dict[str, list[Evaluation]] = defaultdict(list)
        self._failures: dict[str, list[Failure]] = defaultdict(list)
        #: Attempts of earlier runs that do not count any more, by arch and promised metrics.
        self._past: dict[tuple[str, str], int] = defaultdict(int)
        self._remarks: Counter[str] = Counter()

    @property
    def noise(self) -> dict[str, float]:
        """Metric -> std of the error of its values, as far as the evaluators know it."""
        return {name: std for evaluator in self.evaluators for name, std in evaluator.noise().items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What evaluators remarked in this run, in sentences, each with the number of archs."""
        return tuple(
            f"{remark} ({count} arch{'s' if count > 1 else ''})." for remark, count in self._remarks.most_common()
        )

    def restore(self) -> None:
        """Takes up what the study holds, and continues with its proposals."""
        self.recall()
        parse = self.problem.space.parse
        stored = self.study.proposals()
        self.begin(
            [Trial(one.number, one.batch, parse(one.arch), one.proposed_by, one.acquisition_value) for one in stored]
        )

    def recall(self) -> None:
        """Takes up the values and failures that the study holds."""
        parse = self.problem.space.parse
        for row in self.study.find():
            self._stored[row.arch].append(row)
        for key, rows in self._stored.items():
            self._shared[self.key_of(parse(key))] += rows
        for failure in self.study.failures():
            if failure.arch in self.renews:
                of_this = (failure.arch, failure.metrics)
                self._past[of_this] = max(self._past[of_this], failure.attempt)
            else:
                self._failures[failure.arch].append(failure)

    def begin(self, trials: Sequence[Trial]) -> None:
        """Evaluates trials as far as that takes no time, and hands the rest to the executor."""
        self.trials += trials
        for trial in trials:
            self._advance(trial)
        self._store()

    def wait(self) -> None:
        """Waits until something has finished, and stores it."""
        assert self.executor is not None
        for result in self.executor.wait():
            self.finish(result)

    def finish(self, result: JobResult) -> None:
        """Stores what came of a job, and continues with its trial.

        Raises:
            StudyError: nothing can be stored; the trial is as it was, and the same result may be brought again.
        """
        trial = self.running[result.job.number]
        before = {**vars(trial), "values": dict(trial.values)}
        failures = list(self._failures[trial.arch.key])
        try:
            self._take(trial, result)
            self._store()
        except BaseException:
            vars(trial).update(before)
            self._failures[trial.arch.key] = failures
            self._rows, self._new, self._notes = [], [], []
            raise
        del self.running[result.job.number]
        self._advance(trial)
        self._store()

    def _advance(self, trial: Trial) -> None:
        """On to the next evaluation that takes time, or to the end."""
        while trial.is_open:
            if trial._stage == len(self.evaluators):
                self._end(trial)
                return
            if broken := self._broken(trial):
                trial.is_stopped = self._is_spared(trial)
                is_free = trial.is_stopped and sum(one.is_stopped for one in self.trials) <= self.budget
                counts = f"; counts, as {self.budget} before it did not" if trial.is_stopped else ""
                self._end(trial, note=f" breaks {broken}{'; does not count' if is_free else counts}")
                return
            evaluator = self.evaluators[trial._stage]
            if self._recalled(trial, evaluator):
                continue
            job = Job(trial.number, trial.arch, evaluator, self.problem.task, self.seed, self.fidelity, self.timeout)
            if not evaluator.is_instant:
                assert self.executor is not None
                self.executor.submit(job)
                self.running[trial.number] = trial
                return
            self._take(trial, evaluated_here(job))

    def _broken(self, trial: Trial) -> str:
        """The first bound that is known not to hold, with the value; empty where there is none."""
        known = ((bound, trial.values.get(bound.metric.name)) for bound in self.problem.where)
        broken = (f"{bound} ({value:.4g})" for bound, value in known if value is not None and not bound.holds(value))
        return next(broken, "")

    def _is_spared(self, trial: Trial) -> bool:
        """Whether nothing costly was evaluated of a trial, and something that takes time would have been next."""
        done, left = self.evaluators[: trial._stage], self.evaluators[trial._stage :]
        return all(one.is_instant or one.is_exclusive for one in done) and not all(one.is_instant for one in left)

    def _recalled(self, trial: Trial, evaluator: Evaluator) -> bool:
        """Whether the outcome of an evaluation was known already."""
        conditions = evaluator.conditions(self.seed, self.fidelity)
        of_this = {**vars(conditions), "task": self.problem.task.name}
        promised = self._promised(evaluator)
        failures = [
            failure
            for failure in self._failures.get(trial.arch.key, [])
            if failure.metrics == promised and _has(failure, of_this)
        ]
        if failures:
            trial._attempts = max(failure.attempt for failure in failures) - self._past[trial.arch.key, promised]
            if trial._attempts >= _ATTEMPTS or any(failure.reason != "lost" for failure in failures):
                self._end(trial, failures[-1].reason, failures[-1].message)
                return True
        if trial.arch.key in self.renews and not evaluator.is_kept(trial.arch):
            return False
        of_this |= {"source": evaluator.source, "space": trial.arch.space}
        rows = [row for row in self._stored.get(trial.arch.key, []) if _has(row, of_this)]
        if self._complete(trial, evaluator, rows):
            return True
        for others in self._rows_of_equals(trial.arch, evaluator):
            rows = [row.for_arch(trial.arch.key) for row in others if _has(row, of_this)]
            if self._complete(trial, evaluator, rows):
                self._rows += rows
                return True
        # What is instant costs less than looking it up, and what this machine is measured for is of no use elsewhere.
        if self.cache is None or evaluator.is_instant or evaluator.is_exclusive:
            return False
        space, task, source = self.problem.space, self.problem.task, evaluator.source
        for key in self._cache_keys(trial.arch, evaluator):
            found = self.cache.look_up(key, space=space, task=task, source=source, conditions=conditions)
            rows = [row.for_arch(trial.arch.key) for row in found]
            if self._complete(trial, evaluator, rows):
                self._rows += rows
                return True
        return False

    def _is_shared(self, evaluator: Evaluator) -> bool:
        """Whether values are those of all archs of the function: not where they depend on more than it, as costs and
        latencies do, or where a table lists every arch."""
        names = [name.removeprefix("test_") for name in evaluator.metrics(self.problem.task)]
        depends = evaluator.is_instant or any(Metric.parse(name).kind.scope != "task" for name in names)
        return self.distinct == "functions" and not depends

    def _cache_keys(self, arch: Arch, evaluator: Evaluator) -> list[str]:
        """Under which keys the cache holds what an evaluator gives of an arch: its own, and that of its function.

        Never another arch's: where archs count as such, values of that key are taken for its own.
        """
        shared = [f"{_FUNCTION}{self.key_of(arch)}"] if self._is_shared(evaluator) else []
        return [arch.key, *shared]

    def _rows_of_equals(self, arch: Arch, evaluator: Evaluator) -> list[list[Evaluation]]:
        """The study's rows of each other arch whose values are the same."""
        others: dict[str, list[Evaluation]] = {}
        if not self._is_shared(evaluator):
            return []
        for row in self._shared.get(self.key_of(arch), []):
            if row.arch != arch.key:
                others.setdefault(row.arch, []).append(row)
        return list(others.values())

    def _complete(self, trial: Trial, evaluator: Evaluator, rows: Sequence[Evaluation]) -> bool:
        """Takes rows for an evaluation's outcome, if they are all of it."""
        values = {row.metric: row.value for row in rows}
        if not set(evaluator.metrics(self.problem.task)) <= set(values):
            return False
        self._pass(trial, values)
        return True

    def _take(self, trial: Trial, result: JobResult) -> None:
        """Takes what came of an evaluation; it is to be stored."""
        evaluator, values = result.job.evaluator, result.values
        if values is None:
            self._fail(trial, evaluator, result.reason or "raised", result.message, result.seconds)
            return
        if missing := [name for name in evaluator.metrics(self.problem.task) if name not in values]:
            self._fail(trial, evaluator, "raised", f"it gave no {', '.join(missing)}", result.seconds)
            return
        if defect := first_implausible(values):
            finite = all(math.isfinite(value) for value in values.values())
            self._fail(trial, evaluator, "implausible" if finite else "not_finite", defect, result.seconds)
            return
        task, seconds = self.problem.task, result.seconds
        try:
            rows = evaluations_of(
                evaluator, trial.arch, task, values, seed=self.seed, fidelity=self.fidelity, seconds=seconds
            )
        except GennasError as error:
            self._fail(trial, evaluator, "raised", str(error), seconds)
            return
        self._rows += rows
        self._remarks.update(result.remarks)
        self._new.append((evaluator, trial.arch))
        self._pass(trial, values)
        if self.cache is not None and not (evaluator.is_instant or evaluator.is_exclusive):
            for key in self._cache_keys(trial.arch, evaluator):
                self.cache.add([row.for_arch(key) for row in rows], space=self.problem.space, task=task)

    def _pass(self, trial: Trial, values: dict[str, float]) -> None:
        trial.values |= values
        trial._stage += 1
        trial._attempts = 0

    def _fail(self, trial: Trial, evaluator: Evaluator, reason: str, message: str, seconds: float) -> None:
        trial._attempts += 1
        conditions = evaluator.conditions(self.seed, self.fidelity)
        failure = Failure(
            arch=trial.arch.key,
            task=self.problem.task.name,
            metrics=self._promised(evaluator),
            reason=reason,
            message=message,
            attempt=trial._attempts + self._past[trial.arch.key, self._promised(evaluator)],
            seed=conditions.seed,
            fidelity=conditions.fidelity,
            recipe=conditions.recipe,
            seconds=seconds,
        )
        self._rows.append(failure)
        self._failures[trial.arch.key].append(failure)
        if reason == "lost" and trial._attempts < _ATTEMPTS:
            self._notes.append((self._done, f"{trial.arch}: {message}; retrying"))
            return
        self._end(trial, reason, message)

    def _end(self, trial: Trial, reason: str = "", message: str = "", note: str = "") -> None:
        trial.state, trial.message = ("failed" if reason else "done"), message
        self._notes.append((self._done, f"{trial.arch}{f': {reason}: {message}' if reason else note}"))

    @property
    def _done(self) -> int:
        done = [trial for trial in self.trials if not trial.is_open]
        return used(done, [True] * len(done), self.budget)

    def _promised(self, evaluator: Evaluator) -> str:
        return ",".join(evaluator.metrics(self.problem.task))

    def _store(self) -> None:
        """Stores what is new, and only then reports it."""
        rows, new, notes = self._rows, self._new, self._notes
        self._rows, self._new, self._notes = [], [], []
        if rows:
            self.study.add(rows)
        for evaluator, arch in new:
            evaluator.stored(arch)
        for done, note in notes:
            self.report(done, note)


def _check_evaluators(problem: Problem, evaluators: Sequence[Evaluator], executor: Executor | None) -> None:
    given = {name for evaluator in evaluators for name in evaluator.metrics(problem.task)}
    if missing := [metric.name for metric in problem.metrics if metric.name not in given]:
        raise InvalidInputError(f"no evaluator gives {', '.join(missing)}; they give {', '.join(sorted(given))}.")
    for evaluator in evaluators:
        if executor is None and not evaluator.is_instant:
            raise InvalidInputError(f"{type(evaluator).__name__} takes time; give an executor, e.g. ProcessExecutor().")


def _has(row: Row, facts: dict[str, str | int]) -> bool:
    return all(getattr(row, name) == value for name, value in facts.items())
