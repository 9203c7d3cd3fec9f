"""The checkpoint that a verb works with."""

from __future__ import annotations

from gennas.checkpoint import Checkpoint
from gennas.metrics import kinds_known
from gennas.spaces import DEFAULT, Space, get_space
from gennas.tables.user import sizing_task
from gennas.tasks import known_by_name


def checkpoint_of(name: str, space: str | None = None) -> Checkpoint:
    """A checkpoint, of a space of the user's own where one is named; its predictor's metrics and tasks are known from
    then on.

    Args:
        name: of the checkpoint, or its folder.
        space: how the user names the space; from then on the name in the checkpoint is understood.

    Raises:
        UnknownNameError: no such checkpoint or space.
        InvalidInputError: the checkpoint is of another space.
    """
    return _understood(Checkpoint(name, None if space is None else get_space(space)))


def checkpoint_and_space(name: str | None, space: str | None, skeleton: str) -> tuple[Checkpoint | None, Space]:
    """The checkpoint and the space of a verb that can do without the former.

    Args:
        name: of the checkpoint, or its folder; by default the one named like the space.
        space: how the user names it; by default that of the checkpoint, or the default of every verb.
        skeleton: settings of the network around the searched part.

    Returns:
        The checkpoint, None where there is none; and the space with the skeleton.

    Raises:
        UnknownNameError: no such checkpoint, space or setting.
        InvalidInputError: the checkpoint is of another space.
    """
    if name is not None:
        source = checkpoint_of(name, space)
        return source, type(source.space).with_skeleton(skeleton)
    the_space = get_space(space or DEFAULT, skeleton)
    found = Checkpoint.for_space(the_space)
    return found and _understood(found), the_space


def _understood(source: Checkpoint) -> Checkpoint:
    """The checkpoint, whose predictor's metrics and tasks are known from now on."""
    if "predictor" in source.parts:
        config = source.config("predictor")
        kinds_known(config.get("metric_kinds"))
        known_by_name(config.get("metrics", ()), lambda: sizing_task(source.space))
    return source
