"""collect: many (task, arch, seed) trainings as one study that resumes; at once where that is possible."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from gennas.arch import Arch
from gennas.collecting.at_once import train_at_once
from gennas.collecting.collection import Collection, write_table
from gennas.collecting.estimate import seconds_of
from gennas.collecting.evaluator import MetricsEvaluator, can_train_at_once
from gennas.collecting.held_images import holding
from gennas.collecting.one_by_one import RUNNING, train_one_by_one
from gennas.collecting.plan import alike_groups, identity, known_trainings, random_archs, wanted_members
from gennas.collecting.store import note_tasks, settings_of
from gennas.consent import expect
from gennas.errors import InvalidInputError
from gennas.executors.base import Executor
from gennas.executors.inline import InlineExecutor
from gennas.executors.processes import ProcessExecutor
from gennas.progress import estimate_text, progress
from gennas.spaces import Space, get_space
from gennas.studies.study import SessionRecord, Study
from gennas.tasks import Task, get_task
from gennas.training.accelerator import accelerator
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member
from gennas.training.stacked.sizing import networks_at_once

_LOG = logging.getLogger(__name__)


def collect(
    space: Space | str,
    tasks: Sequence[Task | str],
    archs: Sequence[Arch | str] | Mapping[str, Sequence[Arch | str]] | int,
    *,
    folder: str | Path,
    recipe: Recipe | str = "tiny",
    seed: int = 0,
    seeds: int = 1,
    workers: Executor | int | None = None,
    timeout: float | None = None,
    at_once: int | None = None,
    device: str | None = None,
    database: str | None = None,
    command: str = "",
) -> Collection:
    """Trains every arch on every task, and stores the metrics as a study; what it holds is not trained again.

    Networks of spaces with :attr:`gennas.spaces.Space.trains_at_once` are trained in this process, on a GPU hundreds at
    once; others, or with workers, one by one. Values and rows are those of
    :class:`gennas.evaluators.train.TrainEvaluator` with the same recipe and seed; no networks are kept. A run that is
    killed loses at most the trainings that it was doing. More tasks, archs and seeds may be added to a study later. A
    training that diverged or raised an error is not repeated, one that ran out of time is.

    Args:
        space: of the archs.
        tasks: to train on, with images.
        archs: or their keys, for all tasks, or by the task's name; or how many are drawn, see :func:`.random_archs`.
        folder: of the study.
        recipe: how to train; the seed is replaced.
        seed: of weights, order and augmentation, and of the archs that are drawn.
        seeds: trainings of each arch on each task, with this seed and those that follow.
        workers: who trains one by one: an executor, or how many processes; by default this process, at once where it
            can.
        timeout: seconds after which a training has failed; then networks are trained one by one.
        at_once: networks that are trained at once; by default what the memory of a GPU holds, up to 512, and 1 on a
            CPU.
        device: of networks that are trained at once; by default a GPU, if there is one.
        database: SQLAlchemy URL of the study's rows; None for a file in the folder.
        command: that is run, for whoever wants to repeat it; without passwords.

    Raises:
        InvalidInputError: no tasks, archs or seeds; two tasks of one name; or a recipe that cannot be used here.
        InvalidArchError: an arch of another space.
        DataMissingError: a task comes without images.
        StudyError: the folder holds something else, a study with other settings, or trainings on other images of a task
            of the same name; or another process is writing to it.
    """
    begun = time.perf_counter()
    the_space = get_space(space) if isinstance(space, str) else space
    the_recipe = Recipe.named(recipe) if isinstance(recipe, str) else recipe
    for name, value in (("seeds", seeds), ("at_once", at_once), ("workers", workers)):
        if isinstance(value, int) and value < 1:
            raise InvalidInputError(f"is {value}; must be at least 1.", argument=name)
    named = [get_task(task) if isinstance(task, str) else task for task in tasks]
    chosen = random_archs(the_space, archs, seed) if isinstance(archs, int) else archs
    # A process that is trained in cannot be stopped.
    in_process = timeout is None and (workers is None or (workers == 1 and not isinstance(workers, Executor)))
    stacks = in_process and can_train_at_once(the_space, the_recipe, named)
    for name, is_given in (("at_once", at_once is not None), ("device", device is not None)):
        if is_given and not stacks:
            why = "these do not" if in_process else "with `workers` or a `timeout` they are trained one by one"
            raise InvalidInputError(f"is for networks that are trained at once; {why}.", argument=name)
    # Workers are sent the source of images, never images.
    given = [holding(task) for task in named] if stacks else named
    members = wanted_members(the_space, given, chosen, range(seed, seed + seeds))
    with Study.open(Path(folder), settings_of(the_space, the_recipe), database) as study:
        note_tasks(study.folder, given)
        study.add([SessionRecord(command=command)])
        done, failed = known_trainings(study, the_recipe)
        settled = done | {one for one, failure in failed.items() if failure.for_good}
        missing = [member for member in members if identity(member) not in settled]
        _LOG.info(
            "%d tasks, %d trainings with %d epochs: %d are there, %d are left",
            *(len(given), len(members), the_recipe.epochs, len(members) - len(missing), len(missing)),
        )
        if missing and stacks:
            _in_process(the_space, missing, the_recipe, study, device, at_once)
        elif missing:
            _by_workers(the_space, missing, the_recipe, study, workers, timeout)
        done, failed = known_trainings(study, the_recipe)
        write_table(study, the_recipe, the_space.name)
    shutil.rmtree(Path(folder) / RUNNING, ignore_errors=True)
    trained = sum(identity(member) in done for member in missing)
    messages = {one: failed[one].message for one in map(identity, members) if one in failed and one not in done}
    return Collection(Path(folder), len(members), trained, messages, time.perf_counter() - begun)


def _in_process(
    space: Space, missing: Sequence[Member], recipe: Recipe, study: Study, device: str | None, at_once: int | None
) -> None:
    where = accelerator() if device is None else torch.device(device)
    groups = alike_groups(missing)
    most = at_once or networks_at_once(space, groups[0], recipe, where)
    seconds = seconds_of(space, groups, recipe, where)
    how = f"{most} at once" if most > 1 else "one after the other"
    _LOG.info("%s", f"{how} on {where.type}, in about {estimate_text(seconds)}")
    expect(f"{len(missing):,} trainings", hours=seconds / 3600, instead="give fewer `tasks`, archs or `seeds`")
    with progress("collecting", len(missing)) as report:
        train_at_once(space, groups, recipe, study, where, most, report)


def _by_workers(
    space: Space,
    missing: Sequence[Member],
    recipe: Recipe,
    study: Study,
    workers: Executor | int | None,
    timeout: float | None,
) -> None:
    with ExitStack() as stack:
        executor = workers if isinstance(workers, Executor) else stack.enter_context(_executor(workers, timeout))
        if executor.runs_here:
            for task in dict.fromkeys(member.task for member in missing):
                MetricsEvaluator(space, recipe, study.folder).expect_usable(task)
        _LOG.info("%d at a time; how long it takes is known when the first are done", executor.capacity)
        with progress("collecting", len(missing)) as report:
            train_one_by_one(space, missing, recipe, study, executor, timeout, report)


def _executor(workers: int | None, timeout: float | None) -> Executor:
    return InlineExecutor() if workers in (None, 1) and timeout is None else ProcessExecutor(workers or 1)
