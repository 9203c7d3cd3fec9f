"""What the user has evaluated, and the command that comes next once archs are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gennas.cli.options import NetworkOptions
from gennas.commands import command
from gennas.errors import GennasError

if TYPE_CHECKING:
    from gennas.predictors.transfer import Evaluated
    from gennas.spaces import Space
    from gennas.tasks import Task


def trained_or_drawn(
    *keys: str,
    task: Task,
    trained_on: str,
    space: Space,
    network: NetworkOptions,
    archs: object,
    out: str,
    top: int | None = None,
    recipe: str = "",
) -> str:
    """The command that trains archs, or draws them where the task is on a graph, which nothing trains on.

    Args:
        keys: of archs, where no file has them.
        task: that the networks are for.
        trained_on: the task by the user's name, or another one where that has no images.
        space: of the archs.
        network: options of the networks.
        archs: file with the archs.
        out: folder of the trainings; see :func:`free_folder`.
        top: how many are trained.
        recipe: name of that by which networks reach the accuracies that were predicted, where these are of one.
    """
    from gennas.spaces import space_option
    from gennas.tasks import get_task

    if len(task.input_shape) == 1:
        return drawn(*keys, space=space, archs=archs)
    # What is trained in place of a task without images has a size of its own.
    trained = task if trained_on != "digits" else get_task("digits", image_size=network.image_size)
    return command(
        "validate",
        *keys,
        task=trained_on,
        archs=archs,
        top=top,
        out=free_folder(out, trained, space, recipe),
        space=space_option(space),
        skeleton=network.skeleton,
        image_size=network.image_size,
        nested=network.nested,
        targets=None if network.targets == NetworkOptions.targets else network.targets,
        recipe=recipe or None,
    )


def free_folder(named: str, task: Task, space: Space, recipe: str = "") -> str:
    """A run folder that takes trainings as ``gennas validate`` does them by default, or by a recipe: the named one or,
    where that holds something else, the first of ``NAME-2``, ``NAME-3`` and so on that does."""
    places = (named, *(f"{named}-{number}" for number in range(2, 100)))
    return next((place for place in places if _takes(Path(place), task, space, recipe)), named)


def _takes(folder: Path, task: Task, space: Space, recipe: str) -> bool:
    from gennas.evaluators.latency_spec import LatencySpec
    from gennas.settings import differences
    from gennas.spaces.network_part import stored_space
    from gennas.studies.folder import read_note
    from gennas.training.recipe import RECIPES, Recipe

    if not folder.exists():
        return True
    try:
        note = read_note(folder)
    except GennasError:
        return False
    if note is None:
        return folder.is_dir() and not any(folder.iterdir())
    asked = {
        "space": stored_space(space),
        "task": {"name": task.name, "input_shape": list(task.input_shape)},
        "objective": f"{task.targets.score}@{task.name}, -latency_ms@cpu",
        "method": "given",
        "recipe": (RECIPES[recipe] if recipe else Recipe()).settings,
        "latency": LatencySpec().conditions,
        "seed": 0,
    }
    stored = {name: note.settings.get(name) for name in asked}
    if isinstance(of_task := stored["task"], dict):
        # Which images it has is not asked: reading them takes a while.
        stored["task"] = {name: of_task.get(name) for name in ("name", "input_shape")}
    return not differences(stored, asked)


def drawn(*keys: str, space: Space, archs: object = None) -> str:
    """The command that draws archs, of their keys or of a file."""
    from gennas.spaces import space_option

    return command("export", *keys, archs=archs, draw=True, out="drawings", space=space_option(space))


def evaluated_on(
    path: str | None, task: Task, trained_on: str, space: Space, network: NetworkOptions
) -> Evaluated | None:
    """What ``--evaluated`` holds; None where it is not given.

    Args:
        path: the option.
        task: of the accuracies.
        trained_on: the task by the user's name.
        space: of the archs.
        network: options of the networks.

    Raises:
        InvalidInputError: the task has no accuracies; or as of :func:`gennas.studies.observations.read_evaluated`.
    """
    from gennas.predictors.deployment import expect_accuracies
    from gennas.studies.observations import read_evaluated

    if path is None:
        return None
    expect_accuracies(task)
    more = "Add rows of archs that you have trained."
    if len(task.input_shape) > 1:
        out = path if Path(path).is_dir() else f"runs/{task.name}"
        train = trained_or_drawn(
            task=task, trained_on=trained_on, space=space, network=network, archs="ARCHS.json", out=out
        )
        more = f"Train some: {train}"
    return read_evaluated(Path(path), space, task.name, more)
