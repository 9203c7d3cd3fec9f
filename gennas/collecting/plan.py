"""The plan of a collection: which trainings are wanted, which of them are there, and which are done at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import Space
from gennas.studies.study import Study
from gennas.tasks import Task
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, alike

#: Draws of an arch after which a space has no further ones.
_DRAWS = 200

#: Task, arch and seed of a training, by name and key.
Identity = tuple[str, str, int]


class Failed(NamedTuple):
    """A training that failed.

    Attributes:
        message: why.
        for_good: whether it would fail again; what ran out of time, or was lost with its process, may not.
    """

    message: str
    for_good: bool


def identity(member: Member) -> Identity:
    """Which training it is."""
    return member.task.name, member.arch.key, member.seed


def random_archs(space: Space, count: int, seed: int = 0) -> list[Arch]:
    """Archs that all compute different functions, none of them a constant; fewer ones are the first of more.

    Args:
        space: of the archs.
        count: how many.
        seed: of the draws.

    Raises:
        InvalidInputError: the space has not as many, or the count is not positive.
    """
    if count < 1:
        raise InvalidInputError(f"is {count}; must be at least 1.", argument="count")
    rng, found, misses = np.random.default_rng(seed), dict[str, Arch](), 0
    while len(found) < count:
        arch = space.sample(rng)
        key = space.canonical(arch).key
        misses = misses + 1 if key in found or space.is_constant(arch) else 0
        if not misses:
            found[key] = arch
        elif misses == _DRAWS:
            raise InvalidInputError(
                f"is {count}, but {_DRAWS} further draws from space {space.name!r} gave nothing new after "
                f"{len(found)}; give fewer.",
                argument="count",
            )
    return list(found.values())


def wanted_members(
    space: Space,
    tasks: Sequence[Task],
    archs: Sequence[Arch | str] | Mapping[str, Sequence[Arch | str]],
    seeds: Iterable[int],
) -> list[Member]:
    """All trainings, task by task.

    Raises:
        InvalidInputError: no tasks, no archs, or two tasks of one name.
        InvalidArchError: an arch of another space.
    """
    if not tasks:
        raise InvalidInputError("is empty; give at least one task.", argument="tasks")
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(f"has {twice[0]!r} twice; rows are told apart by the task's name.", argument="tasks")
    found, seeds = [], list(seeds)
    for task in tasks:
        own = archs.get(task.name, ()) if isinstance(archs, Mapping) else archs
        if not own:
            raise InvalidInputError(f"has none for task {task.name!r}; give at least one arch.", argument="archs")
        distinct = {arch.key: arch for arch in space.archs_of(own)}.values()
        found += [Member(arch, task, seed) for seed in seeds for arch in distinct]
    return found


def known_trainings(study: Study, recipe: Recipe) -> tuple[set[Identity], dict[Identity, Failed]]:
    """Trainings by this recipe that the study holds, and those that failed."""
    hashes: dict[int, str] = {}

    def is_ours(seed: int, found: str) -> bool:
        if seed not in hashes:
            hashes[seed] = replace(recipe, seed=seed).hash
        return found == hashes[seed]

    rows = study.find(source="trained")
    # All metrics of a training are stored at once.
    done = {(row.task, row.arch, row.seed) for row in rows if is_ours(row.seed, row.recipe)}
    failed = {
        (one.task, one.arch, one.seed): Failed(one.message, one.reason not in ("lost", "timeout"))
        for one in study.failures()
        if is_ours(one.seed, one.recipe)
    }
    return done, failed


def alike_groups(members: Sequence[Member]) -> list[list[Member]]:
    """Those that can be trained at once: with images of one shape, and equally many training images.

    Raises:
        DataMissingError: a task has no images.
    """
    kinds: dict[Task, tuple[tuple[int, ...], int]] = {}
    groups: dict[tuple[tuple[int, ...], int], list[Member]] = defaultdict(list)
    for member in members:
        if member.task not in kinds:
            kinds[member.task] = alike(member.task, member.task.splits())
        groups[kinds[member.task]].append(member)
    return list(groups.values())


def equal_parts(members: Sequence[Member], most: int) -> Iterator[Sequence[Member]]:
    """As few parts as there can be of at most ``most``, nearly equally large."""
    count = -(-len(members) // most)
    for part in np.array_split(np.arange(len(members)), count):
        yield members[part[0] : part[-1] + 1]
