"""The checkpoint that a verb works with."""

from __future__ import annotations

from gennas.checkpoint import Checkpoint
from gennas.spaces import DEFAULT, Space, get_space


def checkpoint_of(name: str, space: str | None = None) -> Checkpoint:
    """A checkpoint, of a space of the user's own where one is named.

    Args:
        name: of the checkpoint, or its folder.
        space: how the user names the space; from then on the name in the checkpoint is understood.

    Raises:
        UnknownNameError: no such checkpoint or space.
        InvalidInputError: the checkpoint is of another space.
    """
    return Checkpoint(name, None if space is None else get_space(space))


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
    return Checkpoint.for_space(the_space), the_space
