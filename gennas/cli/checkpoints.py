"""The checkpoint that a verb works with."""

from __future__ import annotations

from gennas.checkpoint import Checkpoint
from gennas.spaces import get_space


def checkpoint_of(name: str, space: str | None = None) -> Checkpoint:
    """A checkpoint, of a space of the user's own where one is named.

    Args:
        name: of the checkpoint, or its folder.
        space: how the user names the space; from then on the name in the checkpoint is understood.

    Raises:
        UnknownNameError: no such checkpoint or space.
        InvalidInputError: the checkpoint is of another space.
    """
    named = None if space is None else get_space(space)
    source = Checkpoint(name)
    return source if named is None else source.expect_space(named)
