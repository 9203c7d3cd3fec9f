"""supernet_of: the supernet of a space."""

from __future__ import annotations

import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.spaces import PartsSpace, Space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets import SUPERNETS
from gennas.supernets.base import Supernet
from gennas.supernets.elastic import ElasticSupernet
from gennas.supernets.parts import PartsSupernet
from gennas.tasks import Task


def has_supernet(space: Space) -> bool:
    """Whether :func:`supernet_of` knows one of a space: registered, of a parent, or of the space's parts."""
    is_of_parts = isinstance(space, PartsSpace) and type(space).build is PartsSpace.build
    return space.name in SUPERNETS or isinstance(space, ElasticSpace) or is_of_parts


def supernet_of(space: Space, task: Task, *, network: nn.Module | None = None, seed: int = 0) -> Supernet:
    """The supernet of a space, with initial weights.

    One that is registered under the space's name in :data:`gennas.supernets.SUPERNETS` comes first; else sub-networks
    of a parent share the parent's weights, and a space made of parts has a supernet by itself.

    Args:
        space: of the archs, with its skeleton.
        task: what the networks are for.
        network: the parent's, of a space that has one; by default one with random weights. Taken over, not copied.
        seed: of random weights.

    Raises:
        InvalidInputError: there is no supernet of the space.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if space.name in SUPERNETS:
            return SUPERNETS.get(space.name)(space, task)
        if isinstance(space, ElasticSpace):
            return ElasticSupernet(space, task, network or space.build(space.parent_arch(), task))
        if isinstance(space, PartsSpace):
            return PartsSupernet(space, task)
    raise InvalidInputError(
        f"space {space.name!r} has no supernet; those with one are {', '.join(SUPERNETS)}, lite0, lite1, lite2 and "
        f"every space made of parts. Register your own: @SUPERNETS.register({space.name!r})."
    )
