"""Evaluating trials: each by one evaluator after the other, every outcome stored at once."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from gennas.arch import Arch
from gennas.errors import GennasError, InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.stage import Stage, stages_of
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.inline import evaluated_here
from gennas.metrics import first_implausible
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.search.trials import Trial, used
from gennas.spaces.functions import Distinct, key_of
from gennas.studies.cache import Cache
from gennas.studies.records import Evaluation, Failure, Row, evaluations_of, failure_row, task_of
from gennas.studies.study import Study

#: How often an evaluation that is lost with its worker is begun in all.
_ATTEMPTS = 3
#: Begins the cache's keys of what archs of a function share; no arch's own key begins with it.
_FUNCTION = "function:"


class EvaluationPipeline:
    """Leads trials through the evaluators.

    With several tasks an arch is evaluated for one after the other, and what is of no task once. An evaluation that
    fails ends that of its task; the arch is evaluated for the others all the same.

    Args:
        problem: its bounds decide whether an arch is evaluated any further.
        evaluators: in their order; with several tasks each stands for what :func:`gennas.evaluators.stage.stages_of`
            makes of it.
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
        counted: key -> how many archs of the caller's it stands for, where more than these may be evaluated; None where
            trials are counted as they use the budget.
        report: receives how much of the budget is done, or of what is counted, and a note on the last trial.

    Attributes:
        budget: of the search; trials that a bound stopped are not reported as part of it, see
            :func:`gennas.search.trials.used`.

    Raises:
        InvalidInputError: a metric of the problem that no evaluator gives, or an evaluator that needs an executor.
    """

    def __init__(
        self,
        problem: Problem,
        evaluators: Sequence[Evaluator | Stage],
        study: Study,
        executor: Executor | None = None,
        *,
        seed: int = 0,
        fidelity: int | None = None,
        timeout: float | None = None,
        cache: Cache | None = None,
        renews: Collection[str] = (),
        distinct: Distinct = "functions",
        counted: Mapping[str, int] | None = None,
        report: Report = silent,
    ) -> None:
        self.stages = stages_of(evaluators, problem.tasks)
        _check_stages(problem, self.stages, executor)
        self.problem = problem
        self.evaluators = tuple(stage.evaluator for stage in self.stages)
        self.study = study
        self.executor = executor
        self.seed = seed
        self.fidelity = fidelity
        self.timeout = timeout
        self.cache = cache
        self.renews = frozenset(renews)
        self.distinct = distinct
        self.key_of = key_of(problem.space, distinct)
        self.counted = counted
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
            if trial._stage == len(self.stages):
                self._end(trial)
                return
            if broken := self._broken(trial):
                trial.is_stopped = self._is_spared(trial)
                is_free = trial.is_stopped and sum(one.is_stopped for one in self.trials) <= self.budget
                counts = f"; counts, as {self.budget} before it did not" if trial.is_stopped else ""
                self._end(trial, note=f" breaks {broken}{'; does not count' if is_free else counts}")
                return
            stage = self.stages[trial._stage]
            if self._recalled(trial, stage):
                continue
            evaluator = stage.evaluator
            job = Job(trial.number, trial.arch, evaluator, stage.task, self.seed, self.fidelity, self.timeout)
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

    def _recalled(self, trial: Trial, stage: Stage) -> bool:
        """Whether the outcome of an evaluation was known already."""
        evaluator, task = stage.evaluator, stage.task
        conditions = evaluator.conditions_of(trial.arch, self.seed, self.fidelity)
        of_this = vars(conditions)
        promised = ",".join(stage.metrics)
        failures = [
            failure
            for failure in self._failures.get(trial.arch.key, [])
            if failure.metrics == promised and _has(failure, {**of_this, "task": task.name})
        ]
        if failures:
            trial._attempts = max(failure.attempt for failure in failures) - self._past[trial.arch.key, promised]
            if trial._attempts >= _ATTEMPTS or any(failure.reason != "lost" for failure in failures):
                self._give_up(trial, failures[-1].reason, failures[-1].message)
                return True
        if trial.arch.key in self.renews and not evaluator.is_kept(trial.arch):
            return False
        of_this = {**of_this, "source": evaluator.source, "space": trial.arch.space}

        def is_of_this(row: Evaluation) -> bool:
            return row.task == task_of(row.metric, task) and _has(row, of_this)

        if self._complete(trial, stage, list(filter(is_of_this, self._stored.get(trial.arch.key, [])))):
            return True
        for others in self._rows_of_equals(trial.arch, stage):
            rows = [row.for_arch(trial.arch.key) for row in filter(is_of_this, others)]
            if self._complete(trial, stage, rows):
                self._rows += rows
                return True
        # What is instant costs less than looking it up, and what this machine is measured for is of no use elsewhere.
        if self.cache is None or evaluator.is_instant or evaluator.is_exclusive:
            return False
        space, source = self.problem.space, evaluator.source
        for key in self._cache_keys(trial.arch, stage):
            found = self.cache.look_up(key, space=space, task=task, source=source, conditions=conditions)
            rows = [row.for_arch(trial.arch.key) for row in found]
            if self._complete(trial, stage, rows):
                self._rows += rows
                return True
        return False

    def _is_shared(self, stage: Stage) -> bool:
        """Whether values are those of all archs of the function: not where they depend on more than it, as costs and
        latencies do, or where a table lists every arch."""
        depends = stage.evaluator.is_instant or bool(stage.scopes - {"task"})
        return self.distinct == "functions" and not depends

    def _cache_keys(self, arch: Arch, stage: Stage) -> list[str]:
        """Under which keys the cache holds what an evaluator gives of an arch: its own, and that of its function.

        Never another arch's: where archs count as such, values of that key are taken for its own.
        """
        shared = [f"{_FUNCTION}{self.key_of(arch)}"] if self._is_shared(stage) else []
        return [arch.key, *shared]

    def _rows_of_equals(self, arch: Arch, stage: Stage) -> list[list[Evaluation]]:
        """The study's rows of each other arch whose values are the same."""
        others: dict[str, list[Evaluation]] = {}
        if not self._is_shared(stage):
            return []
        for row in self._shared.get(self.key_of(arch), []):
            if row.arch != arch.key:
                others.setdefault(row.arch, []).append(row)
        return list(others.values())

    def _complete(self, trial: Trial, stage: Stage, rows: Sequence[Evaluation]) -> bool:
        """Takes rows for an evaluation's outcome, if they are all of it."""
        values = {row.metric: row.value for row in rows}
        if not set(stage.metrics) <= set(values):
            return False
        self._pass(trial, values)
        return True

    def _take(self, trial: Trial, result: JobResult) -> None:
        """Takes what came of an evaluation; it is to be stored."""
        stage, evaluator, values = self.stages[trial._stage], result.job.evaluator, result.values
        if values is None:
            self._fail(trial, stage, result.reason or "raised", result.message, result.seconds)
            return
        if missing := [name for name in stage.metrics if name not in values]:
            self._fail(trial, stage, "raised", f"it gave no {', '.join(missing)}", result.seconds)
            return
        if defect := first_implausible(values):
            finite = all(math.isfinite(value) for value in values.values())
            self._fail(trial, stage, "implausible" if finite else "not_finite", defect, result.seconds)
            return
        task, seconds = stage.task, result.seconds
        try:
            rows = evaluations_of(
                evaluator, trial.arch, task, values, seed=self.seed, fidelity=self.fidelity, seconds=seconds
            )
        except GennasError as error:
            self._fail(trial, stage, "raised", str(error), seconds)
            return
        self._rows += rows
        self._remarks.update(result.remarks)
        self._new.append((evaluator, trial.arch))
        self._pass(trial, values)
        if self.cache is not None and not (evaluator.is_instant or evaluator.is_exclusive):
            for key in self._cache_keys(trial.arch, stage):
                self.cache.add([row.for_arch(key) for row in rows], space=self.problem.space, task=task)

    def _pass(self, trial: Trial, values: dict[str, float]) -> None:
        trial.values |= values
        self._go_on(trial)

    def _go_on(self, trial: Trial) -> None:
        """To the next stage that is of use: not where its task, or all of them, failed."""
        failed = {task for task, _, _ in trial._failed}
        is_over = failed >= {task.name for task in self.problem.tasks}
        left = enumerate(self.stages[trial._stage + 1 :], trial._stage + 1)
        useful = (at for at, stage in left if not is_over and (stage.is_common or stage.task.name not in failed))
        trial._stage, trial._attempts = next(useful, len(self.stages)), 0

    def _fail(self, trial: Trial, stage: Stage, reason: str, message: str, seconds: float) -> None:
        trial._attempts += 1
        failure = failure_row(
            stage.evaluator,
            trial.arch,
            stage.task,
            reason,
            message,
            seed=self.seed,
            fidelity=self.fidelity,
            seconds=seconds,
            attempt=trial._attempts + self._past[trial.arch.key, ",".join(stage.metrics)],
        )
        self._rows.append(failure)
        self._failures[trial.arch.key].append(failure)
        if reason == "lost" and trial._attempts < _ATTEMPTS:
            self._notes.append((self._done, f"{trial.arch}: {message}; retrying"))
            return
        self._give_up(trial, reason, message)

    def _give_up(self, trial: Trial, reason: str, message: str) -> None:
        """An evaluation failed for good; without what is of no task, an arch is of use for none."""
        stage = self.stages[trial._stage]
        tasks = [task.name for task in (self.problem.tasks if stage.is_common else [stage.task])]
        trial._failed = (*trial._failed, *((task, reason, message) for task in tasks))
        self._go_on(trial)

    def _end(self, trial: Trial, note: str = "") -> None:
        causes: dict[tuple[str, str], list[str]] = {}
        for task, reason, message in trial._failed:
            causes.setdefault((reason, message), []).append(task)
        several = len(self.problem.tasks) > 1
        told = [(f"{', '.join(tasks)}: " if several else "", *cause) for cause, tasks in causes.items()]
        trial.state = "failed" if told else "done"
        trial.message = "; ".join(f"{where}{message}" for where, _, message in told)
        failed = "; ".join(f" {where}{reason}: {message}" for where, reason, message in told)
        if self.counted is None or trial.arch.key in self.counted:
            self._notes.append((self._done, f"{trial.arch}{failed}{note}"))

    @property
    def _done(self) -> int:
        done = [trial for trial in self.trials if not trial.is_open]
        if self.counted is not None:
            return sum(self.counted.get(trial.arch.key, 0) for trial in done)
        # A study may hold more than a smaller budget than before.
        return min(used(done, [True] * len(done), self.budget), self.budget)

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


def _check_stages(problem: Problem, stages: Sequence[Stage], executor: Executor | None) -> None:
    given = {name for stage in stages for name in stage.metrics}
    if missing := [metric.name for metric in problem.metrics if metric.name not in given]:
        raise InvalidInputError(f"no evaluator gives {', '.join(missing)}; they give {', '.join(sorted(given))}.")
    for stage in stages:
        if executor is None and not stage.evaluator.is_instant:
            name = type(stage.evaluator).__name__
            raise InvalidInputError(f"{name} takes time; give an executor, e.g. ProcessExecutor().")


def _has(row: Row, facts: Mapping[str, str | int]) -> bool:
    return all(getattr(row, name) == value for name, value in facts.items())
