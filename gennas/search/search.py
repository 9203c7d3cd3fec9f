"""Search: which archs to evaluate next, asked and answered one by one, on a study that resumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from gennas.checkpoint import Checkpoint
from gennas.errors import InvalidInputError
from gennas.executors.base import JobResult
from gennas.executors.handout import HandoutExecutor
from gennas.metrics import implausible
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.checks import check_budget, check_objective, check_proposals, check_seed
from gennas.search.entries import Found, RankedEntry, SearchEntry, frame_of, html_of
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.trials import Trial, history_of, used
from gennas.spaces import Space
from gennas.spaces.functions import Distinct
from gennas.studies.records import Prediction, Proposed, Row

if TYPE_CHECKING:
    import pandas as pd

    from gennas.search.policies.choice import PolicyChoice
    from gennas.search.settings import Storage
    from gennas.studies.observations import Given, Observations


class Search:
    """A search whose archs you evaluate yourself: ask for archs, tell what came of them.

    Costs are computed, and latencies and energies that the checkpoint's predictor knows are predicted unless you report
    them; everything else that the problem names has to be reported. Every report is stored at once: a search that was
    killed resumes when it is made again with the same arguments, and trials without a report are asked again.

    .. code-block:: python

        search = Search(Problem("nasbench201", "photos/"), study="runs/mine", budget=40)
        for trial in search:
            search.tell(trial, {"accuracy": my_training(search.space.build(trial.arch, search.problem.task))})
        print(search.best())

    Args:
        problem: what is searched for.
        study: run folder, or where exactly the study is stored; None for one that ends with the process.
        budget: archs to evaluate in all, those in the study and those that fail included; it may be raised later. One
            that breaks a bound which is computed or predicted is not part of it, up to as many as the budget.
        policy: who proposes: a policy, or the name of one, with its options in a :class:`PolicyChoice`.
        checkpoint: of the generator and the predictor; the one of the space's name by default.
        seed: of everything; the same seed proposes the same archs for the same answers.
        distinct: ``functions`` proposes nothing that computes the same as an arch before it; ``archs`` allows it. It
            may be changed when the search is resumed.
        evaluated: archs that you have evaluated: they teach the policy, are not proposed, and are no part of the
            budget; by arch or key with metric names and values, or a CSV file or a run folder, see
            :meth:`gennas.studies.observations.Observations.of`.

    Attributes:
        problem: as given.
        study: the study, open for writing.
        trials: all so far, in the order in which they were proposed.
        notes: what the user should know, in sentences.

    Raises:
        UnknownNameError: no such policy, option or checkpoint.
        InvalidInputError: a budget below 1, or a checkpoint of another space.
        InfeasibleError: no arch keeps the bounds on costs.
        StudyError: the study belongs to other settings, or another process is writing to it.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        study: str | Path | Storage | None = None,
        budget: int = 50,
        policy: Policy | PolicyChoice | str = "gennas",
        checkpoint: Checkpoint | str | Path | None = None,
        seed: int = 0,
        distinct: Distinct = "functions",
        evaluated: Given | None = None,
    ) -> None:
        # Workers import this module with the loop's, and need none of what these need.
        from gennas.evaluators.reported import reporting_evaluators
        from gennas.search.cost_bounds import check_cost_bounds
        from gennas.search.policies.choice import chosen_policy
        from gennas.search.settings import Storage, study_config
        from gennas.studies.observations import Observations

        check_budget(budget)
        check_seed(seed)
        check_objective(problem)
        source = None if checkpoint is None else Checkpoint.of(checkpoint).expect_space(problem.space)
        check_cost_bounds(problem)
        chosen = chosen_policy(policy, problem, source)
        evaluators, required, predicted = reporting_evaluators(problem, source)
        config = study_config(problem, chosen, seed=seed, checkpoint=source)
        config["reported"] = list(required)
        config["predicted"] = None if predicted is None else predicted.basis
        observed = None if evaluated is None else Observations.of(evaluated, problem)
        if observed is not None:
            config["evaluated"] = observed.fingerprint
        opened = Storage.of(study).open(config, problem.tasks)
        self._set_up(
            problem,
            chosen.policy,
            EvaluationPipeline(problem, evaluators, opened, HandoutExecutor(), seed=seed, distinct=distinct),
            budget,
            observed,
        )
        self._notes = (*chosen.notes, *(predicted.notes if predicted else ()))
        self._required = required
        self._waiting = [trial.number for trial in self.trials if trial.is_open]

    @classmethod
    def over(
        cls,
        problem: Problem,
        policy: Policy,
        pipeline: EvaluationPipeline,
        budget: int,
        evaluated: Observations | None = None,
    ) -> Search:
        """A search whose archs a pipeline of evaluators evaluates, for :func:`gennas.search.loop.run`."""
        check_budget(budget)
        search = cls.__new__(cls)
        search._set_up(problem, policy, pipeline, budget, evaluated)
        search._notes, search._required, search._waiting = (), (), []
        return search

    def _set_up(
        self,
        problem: Problem,
        policy: Policy,
        pipeline: EvaluationPipeline,
        budget: int,
        evaluated: Observations | None,
    ) -> None:
        self.problem, self.policy, self.study, self.pipeline = problem, policy, pipeline.study, pipeline
        self.budget, self.evaluated = budget, evaluated
        #: Whether the policy had no further arch when it was asked last.
        self.is_exhausted = False
        pipeline.restore()

    @property
    def budget(self) -> int:
        """Archs to evaluate in all; see :meth:`left`."""
        return self.pipeline.budget

    @budget.setter
    def budget(self, budget: int) -> None:
        self.pipeline.budget = budget

    def left(self, visible: Sequence[bool]) -> int:
        """How many more archs may be proposed; 0 once the budget is used.

        Args:
            visible: for every trial so far whether it may be known that a bound stopped it.
        """
        return max(self.budget - used(self.trials, visible, self.budget), 0)

    @property
    def space(self) -> Space:
        """The problem's space."""
        return self.problem.space

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, in the order in which they were proposed."""
        return self.pipeline.trials

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, in sentences."""
        given = self.evaluated.notes if self.evaluated else ()
        return (*self._notes, *given, *([self._exhausted()] if self.is_exhausted else []))

    def _exhausted(self) -> str:
        taken = self.history().taken
        counted = "functions" if self.pipeline.distinct == "functions" else "archs"
        bounds = ", ".join(map(str, self.problem.bounds_on_costs))
        within = f" within {bounds}" if bounds else ""
        within += f" among the {len(self.problem.among)} of the table" if self.problem.among is not None else ""
        repeats = " `distinct` archs goes on with other archs of the same functions." if counted == "functions" else ""
        if self.space.size is None and self.problem.among is None:
            return f"no further {counted}{within} were found after {len(taken)}.{repeats}"
        given = " or given as evaluated" if self.evaluated else ""
        return f"there are no more {counted}{within}: all {len(taken)} were proposed{given}.{repeats}"

    @property
    def next_batch(self) -> int:
        """Number of the batch that would be proposed next."""
        return self.trials[-1].batch + 1 if self.trials else 0

    def __repr__(self) -> str:
        done = sum(not trial.is_open for trial in self.trials)
        return f"Search({self.problem!r}, {done} of {self.budget} trials done)"

    def _repr_html_(self) -> str:
        """The table of the best archs so far that notebooks show."""
        return html_of(repr(self), self.front())

    def ask(self, n: int = 1) -> list[Trial]:
        """Up to ``n`` trials to evaluate: first those that an earlier process left without a report, then new ones.

        Fewer where the budget ends or the space has no further arch; none means that the search is over. An arch that
        breaks a bound which is computed or predicted is not handed out.

        Args:
            n: how many, at least 1; trials asked for together are chosen together.
        """
        if n < 1:
            raise InvalidInputError(f"is {n}; must be at least 1.", argument="n")
        asked = [self.trials[number] for number in self._waiting[:n]]
        while len(asked) < n:
            visible = [not trial.is_open for trial in self.trials]
            q = min(n - len(asked), self.left(visible))
            proposed = self.propose(q, visible) if q else []
            if not proposed:
                break
            asked += [trial for trial in proposed if trial.is_open]
        # Only now: what cannot be proposed takes no trial with it that was waiting.
        self._waiting = self._waiting[n:]
        return asked

    def tell(
        self,
        trial: Trial | int,
        values: Mapping[str, float] | None = None,
        *,
        state: Literal["done", "failed"] = "done",
        message: str = "",
    ) -> None:
        """Stores what came of a trial.

        Args:
            trial: of :meth:`ask`, a copy of it, or its number: trials may be sent to other processes.
            values: metric names -> values in their units; the problem's target is filled in where a name has none.
                Metrics that the problem does not name are stored too, e.g. ``test_accuracy``, and nothing is chosen
                by them.
            state: ``failed`` where the evaluation gave no values.
            message: why it failed, for the study.

        Raises:
            InvalidInputError: a trial of another search, or one that is done; a value that is missing or out of range.
            UnknownNameError: a metric that does not exist.
        """
        trial = self._own(trial)
        if state not in ("done", "failed"):
            raise InvalidInputError(f"state is {state!r}; must be 'done' or 'failed'.")
        if state == "failed" and values:
            raise InvalidInputError(f"trial {trial.number} has values and state='failed'; give one of them.")
        if not trial.is_open:
            raise InvalidInputError(f"trial {trial.number} is {trial.state} already; report a trial once.")
        job = self._jobs.jobs[trial.number]
        if state == "failed":
            result = JobResult(job, None, "raised", message or "reported as failed")
        else:
            result = JobResult(job, self._read(trial, values or {}))
        self.pipeline.finish(result)
        del self._jobs.jobs[trial.number]
        self._waiting = [number for number in self._waiting if number != trial.number]

    def _own(self, trial: Trial | int) -> Trial:
        number = trial if isinstance(trial, int) else trial.number
        own = self.trials[number] if 0 <= number < len(self.trials) else None
        if own is None or (isinstance(trial, Trial) and trial.arch != own.arch):
            raise InvalidInputError(f"trial {number} is not of this search; tell it to the one that was asked.")
        return own

    @property
    def _jobs(self) -> HandoutExecutor:
        executor = self.pipeline.executor
        if not isinstance(executor, HandoutExecutor):
            raise InvalidInputError("the evaluators of this search answer by themselves; it takes no reports.")
        return executor

    def _read(self, trial: Trial, values: Mapping[str, float]) -> dict[str, float]:
        if not isinstance(values, Mapping):
            raise InvalidInputError(
                f"values is {values!r}; expected metric names and values, e.g. {{'accuracy': 0.9}}."
            )
        found: dict[str, float] = {}
        for name, value in values.items():
            # What is only reported is a metric too, though nothing may be chosen by it.
            reported = "test_" if name.startswith("test_") else ""
            metric = self.problem.metric(name.removeprefix("test_"))
            if defect := implausible(name, value):
                raise InvalidInputError(f"trial {trial.number}: {defect}.")
            found[f"{reported}{metric.name}"] = float(value)
        if missing := [name for name in self._required if name not in found]:
            raise InvalidInputError(
                f"trial {trial.number} lacks {', '.join(missing)}; tell all of {', '.join(self._required)}, or "
                "state='failed'."
            )
        return found

    def __iter__(self) -> Iterator[Trial]:
        """Trials one by one, until the budget is used; report each before the next is asked for.

        What was asked before and never reported, in this process too, comes first.

        Raises:
            InvalidInputError: the last trial was not reported.
        """
        self._waiting = [trial.number for trial in self.trials if trial.is_open]
        while trials := self.ask(1):
            yield trials[0]
            if trials[0].is_open:
                raise InvalidInputError(
                    f"trial {trials[0].number} was not reported; call tell() in the loop, or ask(n) for several."
                )

    def propose(self, q: int, visible: Sequence[bool]) -> list[Trial]:
        """Lets the policy propose a batch, stores it, and begins its evaluation.

        Args:
            q: at most how many.
            visible: for every trial so far whether the policy sees its values; the others are pending.

        What a policy proposes although it counts as known is replaced by random archs: not every policy knows what
        archs compute. So is what is not among the only archs that may be proposed.

        Raises:
            InvalidInputError: the policy proposed an arch twice, or too many.
        """
        batch, first = self.next_batch, len(self.trials)
        history, rng = self._history(visible), np.random.default_rng([self.pipeline.seed, batch])
        proposals = self.policy.propose(q, history, rng)
        archs = self.space.canonicalised([proposal.arch for proposal in proposals])
        check_proposals([arch.key for arch in archs], q, history, self.policy.name)
        by_arch, among = dict(zip(archs, proposals, strict=True)), self.problem.among
        allowed = [arch for arch in archs if among is None or arch in among]
        proposals = [replace(by_arch[arch], arch=arch) for arch in history.taken.untaken(allowed)]
        if len(proposals) < len(archs):
            # Here, for whoever imports this module in a worker.
            from gennas.search.policies.random_search import fill_with_random

            proposals = fill_with_random(self.problem, proposals, len(archs), history, rng)
        self.is_exhausted = not proposals
        trials = [
            Trial(first + i, batch, proposal.arch, proposal.proposed_by, proposal.acquisition_value)
            for i, proposal in enumerate(proposals)
        ]
        self.study.add([row for trial, one in zip(trials, proposals, strict=True) for row in _rows(trial, one)])
        self.pipeline.begin(trials)
        return trials

    def history(self) -> History:
        """What a policy sees: archs that the user had evaluated, then all trials, those that are done with values."""
        return self._history([not trial.is_open for trial in self.trials])

    def _history(self, visible: Sequence[bool]) -> History:
        metrics = self.problem.metrics
        history = history_of(metrics, self.trials, visible, self.pipeline.key_of)
        history = replace(history, noise=self.pipeline.noise)
        return history if self.evaluated is None else history.begun_with(self.evaluated.values, metrics)

    def best(self) -> SearchEntry | None:
        """The best arch by the objective, with several metrics by the first, with several tasks by the mean rank over
        them; None where none keeps all bounds."""
        front = self.front()
        return front[0] if front else None

    def front(self) -> tuple[SearchEntry, ...]:
        """With one objective the best arch, with several all that nothing beats, best by the first metric first; with
        several tasks, best by the mean rank over them first.

        Archs that break a bound, and archs that were not evaluated whole, are not among them; archs that the user had
        evaluated may be.
        """
        return self._found.front()

    def task_fronts(self) -> dict[str, tuple[SearchEntry, ...]]:
        """Name of a task -> the archs that nothing beats at its metrics and those of no task, best by its first metric
        first; an arch whose evaluation failed for another task may be among them. Nothing where there is one task."""
        found, tasks = self._found, self.problem.tasks if self.problem.others else ()
        return {task.name: found.task_front(task) for task in tasks}

    def for_all_tasks(self) -> tuple[RankedEntry, ...]:
        """The archs that no other beats at the metrics of all tasks, whatever they cost, best by the mean rank over the
        tasks first. Nothing where there is one task."""
        return self._found.for_all_tasks() if self.problem.others else ()

    @property
    def _found(self) -> Found:
        return Found(self.problem, self.history(), self.trials, self.evaluated, self.study, self.pipeline.stages)

    def frame(self) -> pd.DataFrame:
        """A row per trial, indexed by its number: ``key``, ``batch``, ``proposed_by``, ``state``, a column per metric
        (NaN where it is not known), and ``message`` where an evaluation failed."""
        return frame_of(self.trials)

    def close(self) -> None:
        """Lets other processes write to the study."""
        self.study.close()

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rows(trial: Trial, proposal: Proposal) -> list[Row]:
    proposed = Proposed(
        number=trial.number,
        batch=trial.batch,
        arch=trial.arch.key,
        proposed_by=trial.proposed_by,
        acquisition_value=trial.acquisition_value,
    )
    return [
        proposed,
        *(Prediction(arch=trial.arch.key, metric=name, **vars(one)) for name, one in proposal.predicted.items()),
    ]
