"""validate_archs: training given archs on a task, and measuring their latency; a search over archs that are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.train import TrainEvaluator
from gennas.executors.base import Executor
from gennas.executors.inline import InlineExecutor
from gennas.hardware.target import NAMING, HardwareTarget
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.search.base import PredictedValue
from gennas.search.evaluation import EvaluationPipeline
from gennas.search.further_seeds import trained_with
from gennas.search.loop import exhaust, stopped_on_error
from gennas.search.policies.choice import ChosenPolicy
from gennas.search.policies.given import GivenArchs
from gennas.search.search import Search
from gennas.search.settings import Measuring, Storage, Workers, study_config
from gennas.search.trials import Trial
from gennas.spaces.functions import Distinct, KeyOf, key_of
from gennas.spaces.sizes import expect_networks
from gennas.studies.study import Study
from gennas.training.network_files import FACTS
from gennas.validation.entries import Validated, Validation


def validate_archs(
    problem: Problem,
    archs: Sequence[Arch | str],
    *,
    study: Storage | str | Path,
    measuring: Measuring | None = None,
    workers: Workers | Executor | int | None = None,
    seed: int = 0,
    seeds: int = 1,
    distinct: Distinct = "functions",
    predicted: Mapping[str, Mapping[str, PredictedValue]] | None = None,
    hardware: Sequence[str] = ("cpu",),
    report: Report = silent,
) -> Validation:
    """Trains archs on the problem's task and measures their latency on this machine.

    It is a search over archs that are given: what the study knows is reused, a training that was killed resumes after
    its last finished epoch, with the same result, and an evaluation that fails does not stop the others.

    Args:
        problem: its space builds the networks, and its task has the images; its objective and bounds do not matter.
        archs: of the space; repeated ones are validated once.
        study: run folder, or where exactly the study is stored. More archs may be added to it later.
        measuring: how to train and how to measure; no table.
        workers: who evaluates; this process, one arch after the other, by default, so that its log shows the epochs.
        seed: of weights, order and augmentation.
        seeds: trainings of each arch, with this seed and those that follow it; the first network is measured.
        distinct: ``functions`` evaluates one of the archs that compute the same function, if possible one that the
            study holds; ``archs`` evaluates each.
        predicted: key -> metric -> what somebody has predicted, which the study remembers beside the true values.
        hardware: of this machine, whose latencies are measured, e.g. ``cpu`` and ``cpu-int8``; see
            :class:`gennas.hardware.target.HardwareTarget`.
        report: receives how many of the given archs are done, with several seeds counted for each of them, and a note
            on the last one.

    Raises:
        InvalidInputError: no archs, no seeds, images that cannot be used, or hardware that is not this machine's.
        InvalidArchError: an arch of another space.
        DataMissingError: the task comes without images.
        StudyError: the study belongs to other settings or something else, or another process is writing to it.
    """
    problem.expect_one_task("a validation")
    given = _distinct(problem, archs)
    if seeds < 1:
        raise InvalidInputError(f"is {seeds}; must be at least 1.", argument="seeds")
    same = key_of(problem.space, distinct)
    storage, measuring = Storage.of(study), measuring or Measuring()
    if storage.folder is None:
        raise InvalidInputError("study is None; give a run folder, where trained networks are kept.")
    measuring = replace(measuring, table=None, recipe=replace(measuring.recipe, seed=seed))
    expect_networks(problem.space, problem.task, given)
    notes = (*problem.space.notes_on(problem.task), *problem.task.splits().notes)
    latency = LatencyEvaluator(problem.space, _targets(hardware), measuring.latency)
    trainer = TrainEvaluator(problem.space, measuring.recipe, storage.folder / "networks")
    # What is known of an arch when an evaluation fails: its costs, and of a network that was trained its accuracy.
    chain = [CostEvaluator(problem.space), trainer, latency]
    score = f"{problem.task.targets.score}@{problem.task.name}"
    objective = ", -".join((score, *latency.metrics(problem.task)))
    judged = Problem(problem.space, problem.task, objective)
    # Neither the batch nor the workers change what is evaluated, and which archs are is no setting.
    chosen = ChosenPolicy(GivenArchs(given), GivenArchs.name, {}, "none")
    config = study_config(judged, chosen, seed=seed, measuring=measuring, batch=1)
    with ExitStack() as stack:
        executor = _executor(workers, stack)
        if executor.runs_here:
            for evaluator in chain:
                evaluator.expect_usable(problem.task)
        opened = stack.enter_context(storage.open(config, problem.tasks))
        stored = [problem.space.parse(row.arch) for row in opened.proposals()]
        evaluated = _evaluated_for(given, [arch for arch in stored if trainer.is_kept(arch)], same)
        stands_for = Counter(arch.key for arch in evaluated.values())
        wanted = list(dict.fromkeys(evaluated.values()))
        measured = [_evaluated(opened, evaluator, wanted, seed) for evaluator in (trainer, latency)]
        known = {arch.key for arch in wanted if trainer.is_kept(arch)}.intersection(*measured)
        cache = stack.enter_context(storage.open_cache())
        timeout = workers.timeout if isinstance(workers, Workers) else None
        pipeline = EvaluationPipeline(
            judged,
            chain,
            opened,
            executor,
            seed=seed,
            timeout=timeout,
            cache=cache,
            renews=[arch.key for arch in wanted],
            distinct="archs",
            counted=stands_for,
            report=report,
        )
        with stopped_on_error(executor):
            search = Search.over(judged, GivenArchs(wanted, predicted), pipeline, len(stored) + len(wanted))
            exhaust(search, executor.capacity)
        notes = (*notes, *pipeline.notes)
        trials = {trial.arch.key: trial for trial in search.trials}
        seconds = {row.arch: row.seconds for row in opened.find(source=trainer.source)}
        found = {
            arch: _validated(trials[arch.key], trainer, arch.key in known, seconds.get(arch.key, 0.0))
            for arch in wanted
        }
        lost = sum(stands_for[arch.key] for arch in wanted if not found[arch].is_kept)
        by_seed = {
            further: trained_with(
                further,
                Problem(problem.space, problem.task, score),
                [arch for arch in wanted if found[arch].is_kept],
                trainer,
                opened,
                executor,
                timeout=timeout,
                cache=cache,
                counted=stands_for,
                report=_after((further - seed) * len(given) + lost, report),
            )
            for further in range(seed + 1, seed + seeds)
        }
        for further, again in by_seed.items():
            failed = [trial for trial in again if trial.state == "failed"]
            notes = (*notes, *(f"{one.arch} failed with seed {further}: {one.message}" for one in failed))
        found = {arch: _repeated(entry, seed, by_seed) for arch, entry in found.items()}
        for entry in found.values():
            notes = (*notes, *(f"{entry.key}: {note}" for note in _notes(entry)))
        entries = tuple(_entry(arch, found[evaluated[arch]], problem) for arch in given)
    shared = [entry for entry in entries if entry.same_as is not None]
    if shared:
        others = "" if len(shared) == 1 else f", and so do {len(shared) - 1} others"
        notes = (
            *notes,
            f"{shared[0].key} computes the same function as {shared[0].same_as}, and has its values{others}; "
            "`distinct` archs evaluates each.",
        )
    return Validation(entries, notes, storage.folder)


def _after(before: int, report: Report) -> Report:
    """Reports what is done in addition to what was done before."""
    return lambda done, note: report(before + done, note)


def _targets(names: Sequence[str]) -> tuple[HardwareTarget, ...]:
    targets = {name: HardwareTarget.parse(name) for name in names}
    if other := [name for name, target in targets.items() if target is None]:
        raise InvalidInputError(
            f"is {other[0]!r}, which is not measured here; expected names of this machine: {NAMING}.",
            argument="hardware",
        )
    return tuple(target for target in targets.values() if target is not None)


def _evaluated(study: Study, evaluator: Evaluator, archs: Sequence[Arch], seed: int) -> set[str]:
    """Keys of those archs that a study knows values of, under the conditions of this run."""
    recipes = {arch.key: evaluator.conditions_of(arch, seed, None).recipe for arch in archs}
    return {row.arch for row in study.find(source=evaluator.source) if row.recipe == recipes.get(row.arch)}


def _distinct(problem: Problem, archs: Sequence[Arch | str]) -> list[Arch]:
    if not archs:
        raise InvalidInputError("archs is empty; give at least one arch.")
    space = problem.space
    return list({arch.key: arch for arch in space.canonicalised(space.archs_of(archs))}.values())


def _evaluated_for(given: Sequence[Arch], kept: Sequence[Arch], key_of: KeyOf) -> dict[Arch, Arch]:
    """For each given arch the one that is evaluated for it: itself or another that counts as the same.

    Args:
        given: distinct archs.
        kept: archs of the study whose networks are there.
        key_of: tells which archs count as one.
    """
    chosen = {key_of(arch): arch for arch in reversed([*kept, *given])}
    own = set(kept)
    return {arch: arch if arch in own else chosen[key_of(arch)] for arch in given}


def _entry(arch: Arch, evaluated: Validated, problem: Problem) -> Validated:
    """What is known of an arch by what was evaluated for it; costs are its own."""
    if arch == evaluated.arch:
        return evaluated
    metrics = evaluated.metrics | problem.space.costs(arch, problem.task)
    return replace(evaluated, arch=arch, metrics=metrics, same_as=evaluated.key)


def _repeated(entry: Validated, seed: int, by_seed: Mapping[int, Sequence[Trial]]) -> Validated:
    """An entry with what its trainings with further seeds gave, if there are any."""
    values = {
        further: trial.values
        for further, trials in by_seed.items()
        for trial in trials
        if trial.arch == entry.arch and trial.state == "done"
    }
    if not values:
        return entry
    names = {name for one in values.values() for name in one}
    first = {name: value for name, value in entry.metrics.items() if name in names}
    return replace(entry, repeats={seed: first, **values})


def _notes(entry: Validated) -> list[str]:
    """What was noted while the arch was trained."""
    if not entry.is_kept:
        return []
    try:
        return [str(note) for note in read_json(entry.folder / FACTS).get("notes", ())]
    except (OSError, ValueError, AttributeError):
        # The networks of a study are files that anybody may have changed since.
        return []


def _executor(workers: Workers | Executor | int | None, stack: ExitStack) -> Executor:
    if isinstance(workers, Executor):
        return workers
    if workers is None:
        return stack.enter_context(InlineExecutor())
    return stack.enter_context((Workers(workers) if isinstance(workers, int) else workers).executor())


def _validated(trial: Trial, trainer: TrainEvaluator, reused: bool, seconds: float) -> Validated:
    error = (trial.message or "failed") if trial.state == "failed" else None
    folder = trainer.network_folder(trial.arch)
    return Validated(trial.arch, trial.values, folder, reused, seconds, error, trainer.is_kept(trial.arch))
