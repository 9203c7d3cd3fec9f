"""How long trainings take here, from a few steps of some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

import torch

from gennas.spaces import Space
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, StackTraining, computing

# Networks of which steps are timed, on a GPU at once and on a CPU one after the other; and how many steps.
_GPU_NETWORKS, _CPU_NETWORKS, _STEPS = 64, 4, 3
# A training step costs as much as so many passes forward.
_FORWARD = 3


def seconds_each(space: Space, members: Sequence[Member], recipe: Recipe, device: torch.device) -> float:
    """About how long one training takes, its evaluation included.

    On a GPU that is an upper limit: the steps timed are launched one by one.

    Args:
        space: whose networks can be trained at once.
        members: that are to be trained, with equally many training images.
        recipe: how.
        device: where.
    """
    is_gpu = device.type == "cuda"
    count = min(_GPU_NETWORKS if is_gpu else _CPU_NETWORKS, len(members))
    chosen = [members[row * len(members) // count] for row in range(count)]
    stacks = [chosen] if is_gpu else [[one] for one in chosen]
    spent = sum(_seconds_of_steps(space, stack, recipe, device) for stack in stacks)
    splits = chosen[0].task.splits()
    images = [len(split) for split in (splits.train, splits.val, splits.test) if split is not None]
    passes = recipe.epochs * images[0] + sum(images) / _FORWARD
    return spent / count * passes / min(recipe.batch_size, images[0])


def _seconds_of_steps(space: Space, members: Sequence[Member], recipe: Recipe, device: torch.device) -> float:
    """Seconds of one step, after a first one that warms up."""
    training = StackTraining(space, members, recipe, device=device, graphs=False)
    training.stack.train()
    with computing(device, tf32=True):
        start = 0.0
        for step, (rows, moves) in enumerate(islice(training.draws.epoch(0), 1 + _STEPS)):
            training.steps(rows, moves, 0.0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if step == 0:
                start, done = time.perf_counter(), 0
            else:
                done += 1
    # A task with few images has a single step, that warmed up.
    return (time.perf_counter() - start) / max(done, 1)
