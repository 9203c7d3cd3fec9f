"""`gennas search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.cli.following import drawn, trained_or_drawn
from gennas.cli.images import said_while_reading
from gennas.cli.options import NetworkOptions, PolicyOptions, SearchGoalOptions, StorageOptions, WorkerOptions
from gennas.cli.output import Outcome, cell, named_in, warn_unwritable
from gennas.cli.parser import option_names, with_flags
from gennas.cli.report import page_at_end
from gennas.cli.typed import typed_command
from gennas.commands import command
from gennas.errors import InvalidInputError, StudyError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.training.recipe import Recipe, with_inherited


def search(
    goal: SearchGoalOptions,
    network: NetworkOptions,
    policy: PolicyOptions,
    workers: WorkerOptions,
    storage: StorageOptions,
    budget: int = 50,
    table: str | None = None,
    within_table: bool = False,
    evaluated: str | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen, and the command line reads it
    recipe_space: Path | None = None,
    latency: LatencySpec = LatencySpec(),  # noqa: B008 - frozen, and the command line reads it
    inherit: str | None = None,
    supernet: str | None = None,
    seed: int = 0,
) -> Outcome:
    """Searches archs: generates, chooses, evaluates and learns, again and again; the same command resumes.

    Args:
        budget: archs to evaluate in all; a larger budget continues a finished run. Archs that break a bound before
            they are trained do not count, up to as many as the budget.
        table: look values up in a table of `gennas list tables`, or in a CSV or Parquet file of your own, instead of
            training and measuring.
        within_table: propose none but the archs that the table has.
        evaluated: archs you have evaluated, which the search starts from: a CSV with the column key and one or more of
            the metrics, or a folder that `gennas validate` or `gennas search` wrote.
        recipe: how networks are trained.
        recipe_space: a YAML file of settings of the recipe, each with a list of values, that are searched with the
            archs.
        latency: how latency on this machine is measured.
        inherit: what networks begin with: the folder of a supernet, a trained network, or a run with some, of which
            each arch takes the nearest one's; pretrained, the default of lite0 and its like; or random. recipe.inherit
            in Python.
        supernet: folder of a supernet of the task, whose inherited weights give accuracies in seconds, in place of
            trainings.
        seed: seed of all randomness.
    """
    import torch

    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.search.checks import check_trains
    from gennas.search.policies.choice import PolicyChoice
    from gennas.search.policies.registry import parse_options
    from gennas.search.run import search_archs
    from gennas.search.settings import Measuring, Storage, Workers
    from gennas.spaces import get_space
    from gennas.studies.exporting import check_export
    from gennas.studies.study import Study
    from gennas.tables import load_table
    from gennas.training.recipe_space import joined_space

    # Graphs are small: a second thread gains nothing, and makes sums depend on it. Workers have threads of their own.
    torch.set_num_threads(1)
    export = storage.export
    if export is not None:
        check_export(export)
        warn_unwritable(export)
    named = get_space(goal.space) if goal.space is not None else None
    known = load_table(table, named) if table is not None else None
    if within_table and known is None:
        raise InvalidInputError("--within-table needs a table; name one with --table.")
    space = goal.space or (known.space if known is not None else "nasbench201")
    problem = Problem(
        joined_space(space, network.skeleton, recipe_space),
        goal.task,
        goal.objective,
        goal.where,
        goal.hardware,
        image_size=network.image_size,
        nested=network.nested,
        targets=network.targets,
    )
    check_trains(problem, "" if known is None else f"table {known.name!r}")
    if within_table and known is not None:
        problem = known.within(problem)
    with progress("searching", budget) as report:
        result = search_archs(
            problem,
            budget,
            policy=PolicyChoice(policy.policy, parse_options(policy.options), policy.prior),
            evaluators=Measuring(known, with_inherited(recipe, inherit), latency, supernet),
            workers=Workers(workers.workers, workers.ray, workers.timeout, workers.batch),
            study=Storage(storage.out, storage.database, storage.cache, storage.study_name, typed_command()),
            checkpoint=policy.checkpoint,
            seed=seed,
            distinct=policy.distinct,
            evaluated=evaluated,
            report=report,
        )
    study = Study(storage.out, storage.database)
    page = page_at_end(storage.out, task=problem.task, named=goal.task[0], database=storage.database, table=known)
    wrote: list[str | Path] = [
        named_in(storage.out, study.location),
        *dict.fromkeys(found.folder for found in _all_found(result) if found.folder),
        *page,
    ]
    outcome = _outcome(result, storage.out, wrote, problem)
    if not outcome.failed:
        outcome.next = _following(result, storage.out, problem, goal.task, network if known is None else None)
    outcome.document["report"] = str(page[0]) if page else None
    if export is not None:
        outcome.saves = [(export, lambda: study.write(export))]
    said = [note for task in problem.tasks for note in said_while_reading(problem.space, task)] if known is None else ()
    outcome.document["notes"] = [*(with_flags(note, option_names(search)) for note in said), *outcome.notes]
    return outcome


# Not typed as a SearchResult: jsonargparse imports what is imported for types only, and torch with it.
def _all_found(result: Any) -> list[Any]:
    """The best archs, and with several tasks those of the fronts of each."""
    return [*result.best, *(found for front in result.task_fronts.values() for found in front)]


def _entry(found: Any) -> dict[str, Any]:
    return {
        "key": found.key,
        "evaluated": found.metrics,
        "number": found.number,
        "proposed_by": found.proposed_by,
        **({"folder": str(found.folder)} if found.folder else {}),
    }


def _outcome(result: Any, out: Path, wrote: list[str | Path], problem: Any) -> Outcome:
    document: dict[str, Any] = {
        "archs": [_entry(found) for found in result.best],
        "proposed": result.proposed,
        "evaluated": result.evaluated,
        "infeasible": result.infeasible,
        "failed": result.failed,
        "study": str(out),
    }
    if problem.others:
        document["tasks"] = {task: [_entry(found) for found in front] for task, front in result.task_fronts.items()}
        document["for_all_tasks"] = [
            {**_entry(found.entry), "mean_rank": found.mean_rank} for found in result.for_all_tasks
        ]
    notes = [with_flags(note, option_names(search)) for note in result.notes]
    if result.failed:
        notes.append(f"every failure is in table failures of {wrote[0]}.")
    document["notes"] = notes
    # Of archs that all failed, or of which none keeps all bounds, there is no best one.
    failed = not _all_found(result)
    return Outcome(document, _tables(result, problem), notes, wrote, failed=failed)


def _following(result: Any, out: Path, problem: Any, typed: Sequence[str], network: NetworkOptions | None) -> str:
    """The command that exports what was trained, one for each task; where nothing was, that trains or draws the best
    arch.

    Args:
        result: with a best arch, of all tasks or of one.
        out: run folder.
        problem: of the search.
        typed: its tasks as the user named them.
        network: options of the networks; None where a table has their values.
    """
    from gennas.spaces import space_option
    from gennas.spaces.network_part import network_of
    from gennas.studies.study import Study
    from gennas.tasks.folder import ImageFolder

    option = space_option(problem.space)
    fronts = result.task_fronts or {problem.task.name: result.best}
    trained = [name for name, front in fronts.items() if any(found.folder for found in front)]
    if not trained:
        space, arch = network_of(problem.space, _all_found(result)[0].arch)
        if network is None or not problem.task.has_images:
            return drawn(arch.key, space=space)
        return trained_or_drawn(
            arch.key,
            task=problem.task,
            trained_on=typed[0],
            space=space,
            network=network,
            archs=None,
            out=f"{out}-trained",
        )
    try:
        Study(out)
    except StudyError:
        # In a database that only the user knows the URL of, perhaps with a password.
        return ""
    commands = []
    for task, name in zip(problem.tasks, typed, strict=True):
        # The run folder notes where images are.
        noted = None if task is problem.task else task.name
        named = noted if isinstance(task.source, ImageFolder) else name
        if task.name in trained:
            commands.append(command("export", study=out, task=named, space=option))
    return " && ".join(commands)


def _tables(result: Any, problem: Any) -> dict[str, list[dict[str, Any]]]:
    """What is printed: the best archs; with several tasks the front of each, and the archs that are good for all."""
    if not problem.others:
        what = "best" if len(result.best) < 2 else "front"
        rows = [{"key": found.key, **{n: cell(v) for n, v in found.metrics.items()}} for found in result.best]
        return {f"{what} of {result.evaluated} evaluated": rows} if rows else {}
    tables: dict[str, list[dict[str, Any]]] = {}
    for task, front in result.task_fronts.items():
        names = [metric.name for metric in problem.objective.of_task(task).metrics]
        rows = [{"key": found.key, **{name: cell(found.metrics[name]) for name in names}} for found in front]
        if rows:
            tables[f"{'best' if len(names) == 1 else 'front'} for {task}"] = rows
    if result.for_all_tasks:
        names = [metric.name for metric in problem.objective.metrics]
        tables[f"good for all {len(problem.tasks)} tasks, of {result.evaluated} evaluated for all"] = [
            {
                "key": found.entry.key,
                "mean rank": cell(found.mean_rank),
                **{name: cell(found.entry.metrics[name]) for name in names},
            }
            for found in result.for_all_tasks
        ]
    return tables
