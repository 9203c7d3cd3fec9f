"""search_archs: a whole search, from a problem to the archs that nothing else beats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.inherited import InheritedEvaluator
from gennas.evaluators.predicted import PredictedEvaluator
from gennas.evaluators.selection import task_stages
from gennas.evaluators.stage import stages_of
from gennas.executors.base import Executor
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.search.base import Policy
from gennas.search.checks import check_budget, check_objective, check_seed, check_trains
from gennas.search.cost_bounds import check_cost_bounds
from gennas.search.entries import RankedEntry, SearchEntry, html_of
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.loop import exhaust, stopped_on_error
from gennas.search.policies.choice import PolicyChoice, chosen_policy
from gennas.search.search import Search
from gennas.search.settings import Measuring, Storage, Workers, study_config
from gennas.search.trials import history_of, used
from gennas.spaces.functions import Distinct
from gennas.spaces.sizes import expect_networks
from gennas.studies.observations import Given, Observations

if TYPE_CHECKING:
    import pandas as pd


#: Archs of which none keeps a bound, from which on a larger budget is no advice.
TELLING = 30


@dataclass(frozen=True, repr=False, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        best: with one objective the best arch, with several the Pareto front of what was evaluated (by the objective,
            never by test accuracy), what the user had evaluated included; archs that break a bound are not among them.
            With several tasks the best by the mean rank over them comes first.
        proposed: archs in the study.
        evaluated: of them, those of which all metrics are known.
        infeasible: of them, those that break a bound.
        failed: evaluations that failed for good.
        notes: what the user should know.
        study: where the study is kept; None for one that ended with the search.
        trials: the table of :meth:`frame`.
        task_fronts: with several tasks, the front of each; see :meth:`gennas.search.search.Search.task_fronts`.
        for_all_tasks: with several tasks, the archs that are good for all of them; see
            :meth:`gennas.search.search.Search.for_all_tasks`.
    """

    best: tuple[SearchEntry, ...]
    proposed: int
    evaluated: int
    infeasible: int
    failed: int
    notes: tuple[str, ...]
    study: Path | None
    trials: pd.DataFrame
    task_fronts: Mapping[str, tuple[SearchEntry, ...]] = field(default_factory=dict)
    for_all_tasks: tuple[RankedEntry, ...] = ()

    @property
    def archs(self) -> tuple[Arch, ...]:
        """The archs of :attr:`best`."""
        return tuple(entry.arch for entry in self.best)

    def frame(self) -> pd.DataFrame:
        """A row per trial; see :meth:`gennas.search.search.Search.frame`."""
        return self.trials

    def _repr_html_(self) -> str:
        """The table of the best archs that notebooks show."""
        title = f"search: {self.evaluated} of {self.proposed} evaluated, {self.failed} failed"
        return html_of(title, self.best, self.notes)

    def __repr__(self) -> str:
        best = ", ".join(f"{entry.key} {entry.metrics}" for entry in self.best[:1])
        return (
            f"SearchResult({self.evaluated} of {self.proposed} evaluated, {self.failed} failed; best: {best or None})"
        )

    @classmethod
    def of(cls, search: Search, notes: Sequence[str] = ()) -> SearchResult:
        """What a search has found so far."""
        problem, trials = search.problem, search.trials
        history = history_of(problem.metrics, trials, [not trial.is_open for trial in trials], search.pipeline.key_of)
        return cls(
            best=search.front(),
            proposed=len(history.archs),
            evaluated=int((np.isfinite(history.values).all(1) & ~history.failed).sum()),
            infeasible=int((problem.broken(history.values) & ~history.failed).sum()),
            failed=int(history.failed.sum()),
            notes=(*notes, *notes_on_outcome(search)),
            study=search.study.folder if search.study.folder.is_dir() else None,
            trials=search.frame(),
            task_fronts=search.task_fronts(),
            for_all_tasks=search.for_all_tasks(),
        )


def notes_on_outcome(search: Search) -> list[str]:
    """What went wrong, in sentences: how many evaluations failed and of what, and which bounds nothing keeps."""
    history, notes = search.history(), []
    if history.failed.any():
        causes = Counter(trial.message for trial in search.trials if trial.state == "failed")
        cause, count = causes.most_common(1)[0]
        which = "" if len(causes) == 1 else f" {count} of them"
        notes.append(f"{history.failed.sum()} of {len(search.trials)} evaluations failed,{which} with: {cause}")
    unkept = []
    for bound in search.problem.where:
        column = search.problem.metrics.index(bound.metric)
        values = history.values[np.isfinite(history.values[:, column]), column]
        if len(values) and not any(map(bound.holds, values)):
            nearest = values.min() if bound.relation == "<=" else values.max()
            # More of the same finds hardly more once so many were drawn towards the bound.
            more = ", or raise `budget`" if len(values) < TELLING else ""
            unkept.append(
                f"none of the {len(values)} archs that were looked at keeps {str(bound)!r}; the nearest has "
                f"{nearest:.4g}. Loosen it{more}."
            )
    if not unkept and search.problem.broken(history.values).any() and not search.front():
        unkept.append("no evaluated arch keeps all bounds; loosen one, or raise `budget`.")
    return notes + unkept + _notes_on_budget(search) + _notes_on_given(search)


def _notes_on_budget(search: Search) -> list[str]:
    """Whether the study holds more than was asked for."""
    trials = [trial for trial in search.trials if not trial.is_open]
    done = used(trials, [True] * len(trials), search.budget)
    if done <= search.budget:
        return []
    return [f"the study held {done} evaluations before, more than `budget` {search.budget}; nothing was added."]


def _notes_on_given(search: Search) -> list[str]:
    """Which of the best archs the user had evaluated."""
    front = search.front()
    given = [entry.key for entry in front if entry.number is None]
    if not given:
        return []
    if len(front) == 1:
        return [f"{given[0]} is one of the archs given as evaluated; no evaluation of this search is better."]
    return [f"{len(given)} of the {len(front)} archs of the front were given as evaluated: {', '.join(given[:3])}."]


def _notes_on_tasks(problem: Problem) -> list[str]:
    """Of which networks the costs and latencies are, where those of the tasks differ."""
    common = [metric.name for metric in problem.metrics if metric.kind.scope != "task"]
    shapes = {(task.input_shape, task.num_classes) for task in problem.tasks}
    if not common or len(shapes) < 2:
        return []
    verb, which = ("is that", "network") if len(common) == 1 else ("are those", "networks")
    return [
        f"{', '.join(common)} {verb} of the {which} for {problem.task.name}, the first task; inputs or classes of the "
        "others differ."
    ]


def search_archs(
    problem: Problem,
    budget: int = 50,
    *,
    policy: Policy | PolicyChoice | str = "gennas",
    evaluators: Measuring | str | Sequence[Evaluator] | None = None,
    workers: Workers | Executor | int | None = None,
    study: Storage | str | Path | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    seed: int = 0,
    distinct: Distinct = "functions",
    evaluated: Given | None = None,
    report: Report = silent,
) -> SearchResult:
    """Searches by evaluating some archs: generate, pick, evaluate, learn, repeat; resumes the search in ``study``.

    Args:
        problem: what is searched for.
        budget: archs to evaluate, those in the study included; a larger one resumes a search that had ended. Archs that
            a bound stops before they are trained are not part of it, up to as many as the budget.
        policy: who proposes: a policy, or the name of one, with its options in a :class:`PolicyChoice`.
        evaluators: how archs are evaluated: by a table, which may be given by its name; by training and measuring here
            (a :class:`Measuring`, the default); or by evaluators of your own, cheap ones first, which together give
            all metrics but costs.
        workers: who evaluates: a number of processes, 1 by default, :class:`Workers`, or an executor, which stays open.
        study: run folder, or where exactly the study is stored; None for a search that ends with the process.
        checkpoint: of the generator and the predictor; the one of the space's name by default. The predictor predicts
            latencies and energies that nothing here measures or looks up.
        seed: of everything; the same seed proposes the same archs for the same values.
        distinct: ``functions`` proposes nothing that computes the same as an arch before it; ``archs`` allows it. It
            may be changed when the search is resumed.
        evaluated: archs that you have evaluated: they teach the policy, are not proposed, and are no part of the
            budget; by arch or key with metric names and values, or a CSV file or a run folder, see
            :meth:`gennas.studies.observations.Observations.of`.
        report: receives how much of the budget is done, and a note on the last arch.

    With several tasks, every arch is evaluated for each of them, one after the other, and counts once; costs and
    latencies are those of its network for the first task. An arch that breaks a bound on a metric of one task is not
    evaluated for those after it, and is on no front.

    Raises:
        InvalidInputError: a metric that nothing here can evaluate, a checkpoint of another space, or a task of which
            the objective has nothing.
        InfeasibleError: no arch keeps the bounds on costs.
        StudyError: the study belongs to other settings, or another process is writing to it.
    """
    check_budget(budget)
    check_seed(seed)
    check_objective(problem)
    evaluators = Measuring(evaluators) if isinstance(evaluators, str) else evaluators
    storage, measuring = Storage.of(study), evaluators if isinstance(evaluators, Measuring) else Measuring()
    measuring = replace(measuring, recipe=replace(measuring.recipe, seed=seed))
    source = None if checkpoint is None else Checkpoint.of(checkpoint).expect_space(problem.space)
    check_cost_bounds(problem)
    table = measuring.loaded()
    if table is not None and measuring.supernet is not None:
        raise InvalidInputError(
            f"is {str(measuring.supernet)!r}, but table {table.name!r} gives the accuracies; give one of them.",
            argument="supernet",
        )
    instead = "" if table is None else f"table {table.name!r}"
    check_trains(problem, f"supernet {str(measuring.supernet)!r}" if measuring.supernet is not None else instead)
    other = "measured" if table is not None else "table"
    observed = None if evaluated is None else Observations.of(evaluated, problem, other)
    if evaluators is None or isinstance(evaluators, Measuring):
        supernet = None if measuring.supernet is None else Path(measuring.supernet)
        stages = task_stages(problem, table, measuring.recipe, measuring.latency, storage.folder, source, supernet)
    else:
        stages = list(stages_of([CostEvaluator(problem.space), *evaluators], problem.tasks))
    chain = [stage.evaluator for stage in stages]
    with ExitStack() as stack:
        staff = workers if isinstance(workers, Workers) else Workers(workers if isinstance(workers, int) else 1)
        executor: Executor | None = None
        if not all(evaluator.is_instant for evaluator in chain):
            executor = workers if isinstance(workers, Executor) else stack.enter_context(staff.executor())
        batch = staff.batch or (5 if executor is None else executor.capacity)
        chosen = chosen_policy(policy, problem, source, table)
        if executor is not None and (evaluators is None or isinstance(evaluators, Measuring)):
            rng = np.random.default_rng(0)
            some = [problem.space.sample(rng) for _ in range(16)]
            for task in problem.tasks:
                expect_networks(problem.space, task, some, executor.capacity)
        if executor is not None and executor.runs_here:
            for stage in stages:
                stage.evaluator.expect_usable(stage.task)
        config = study_config(
            problem,
            chosen,
            seed=seed,
            checkpoint=source,
            table=table,
            measuring=measuring,
            batch=batch,
            several=executor is not None and executor.capacity > 1,
        )
        predicted = next((one for one in chain if isinstance(one, PredictedEvaluator)), None)
        config["predicted"] = None if predicted is None else predicted.basis
        inherited = next((one for one in chain if isinstance(one, InheritedEvaluator)), None)
        if inherited is not None:
            # Studies of earlier versions do not know it.
            config["inherited"] = inherited.conditions(seed, None).recipe
        if observed is not None:
            config["evaluated"] = observed.fingerprint
        opened = stack.enter_context(storage.open(config, problem.tasks if table is None else ()))
        cache = stack.enter_context(storage.open_cache())
        pipeline = EvaluationPipeline(
            problem,
            stages,
            opened,
            executor,
            seed=seed,
            timeout=staff.timeout,
            cache=cache,
            distinct=distinct,
            report=report,
        )
        with stopped_on_error(executor):
            search = Search.over(problem, chosen.policy, pipeline, budget, observed)
            exhaust(search, batch)
        sources = (*(predicted.notes if predicted else ()), *(inherited.notes if inherited else ()))
        notes = (*chosen.notes, *sources, *_notes_on_tasks(problem), *search.notes, *pipeline.notes)
        return SearchResult.of(search, notes)
