"""How long trainings take here, from a few steps of some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from statistics import fmean, median

import torch

from gennas.spaces import Space
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, StackTraining, computing

# Networks of which steps are timed, on a GPU at once and on a CPU one after the other; and how many steps.
_GPU_NETWORKS, _CPU_NETWORKS, _STEPS = 64, 4, 5
# A training step costs as much as so many passes forward.
_FORWARD = 3


def seconds_of(space: Space, groups: Sequence[Sequence[Member]], recipe: Recipe, device: torch.device) -> float:
    """About how long trainings take, their evaluations included.

    On a GPU that is an upper limit: the steps that are timed are launched kernel by kernel.

    Args:
        space: whose networks can be trained at once.
        groups: of trainings; those of each group have equally many training images.
        recipe: how.
        device: where.
    """
    shapes = dict.fromkeys(group[0].task.input_shape for group in groups)
    total = 0.0
    for shape in shapes:
        alike = [group for group in groups if group[0].task.input_shape == shape]
        passes = sum(len(group) * _passes(group[0], recipe) for group in alike)
        total += passes * _seconds_per_pass(space, max(alike, key=len), recipe, device)
    return total


def _passes(member: Member, recipe: Recipe) -> float:
    """Images that a training passes through the network and back, and those of its evaluation likewise."""
    splits = member.task.splits()
    images = [len(split) for split in (splits.train, splits.val, splits.test) if split is not None]
    return recipe.epochs * images[0] + sum(images) / _FORWARD


def _seconds_per_pass(space: Space, members: Sequence[Member], recipe: Recipe, device: torch.device) -> float:
    """Seconds per image of one network, over some networks; a step that other programs held up does not count."""
    is_gpu = device.type == "cuda"
    count = min(_GPU_NETWORKS if is_gpu else _CPU_NETWORKS, len(members))
    chosen = [members[row * len(members) // count] for row in range(count)]
    seconds = []
    for stack in [chosen] if is_gpu else [[one] for one in chosen]:
        training = StackTraining(space, stack, recipe, device=device, graphs=False)
        training.stack.train()
        took = []
        # The first step warms up.
        batches = list(islice(training.draws.epoch(0), 1)) * (1 + _STEPS)
        with computing(device, tf32=True):
            for number, (rows, moves) in enumerate(batches):
                begun = time.perf_counter()
                training.steps(rows, moves, 0.0)
                if is_gpu:
                    torch.cuda.synchronize(device)
                if number:
                    took.append((time.perf_counter() - begun) / rows.numel())
        seconds.append(median(took))
    return fmean(seconds)
