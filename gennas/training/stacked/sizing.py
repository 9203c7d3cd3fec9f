"""How many networks are trained at once: on a GPU as many as its free memory holds, up to a limit; on a CPU one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gennas.spaces import Space
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member

#: A GPU is busy with as many networks of a few channels, and what is lost when a run is killed takes half a minute.
MOST = 512

# Share of the free memory that is planned with, and how much more is needed than what is kept for the gradients: the
# gradients themselves, and the windows of the convolutions.
_SHARE, _BESIDE = 0.8, 3.0
# Networks whose needs stand for all.
_SAMPLE = 8


def networks_at_once(space: Space, members: Sequence[Member], recipe: Recipe, device: torch.device) -> int:
    """How many networks are trained at once on a device; where that turns out to be too many, they are halved.

    Args:
        space: builds the networks.
        members: that are to be trained, with images of one shape.
        recipe: how.
        device: where.
    """
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    sample = members[:: -(-len(members) // _SAMPLE)]
    needed = max(_kept_bytes(space, member, recipe) for member in sample) * _BESIDE
    return max(1, min(MOST, int(_SHARE * free / needed)))


def _kept_bytes(space: Space, member: Member, recipe: Recipe) -> int:
    """What one network keeps of a batch for its gradients."""
    sizes: dict[int, int] = {}

    def note(kept: Tensor) -> Tensor:
        storage = kept.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return kept

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
        network = space.build(member.arch, member.task)
        # Kept alive, so that no two tensors have the same address.
        logits = network(torch.zeros(recipe.batch_size, *member.task.input_shape))
    del logits
    return sum(sizes.values())
