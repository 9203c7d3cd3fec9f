"""The estimate of a collection's time, against the time that it takes."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from gennas.collecting import estimate
from gennas.collecting.estimate import seconds_of
from gennas.collecting.plan import alike_groups, random_archs, wanted_members
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tasks import get_task
from gennas.training.recipe import RECIPES
from gennas.training.stacked.fitting import Member
from gennas.training.stacked.steps import TrainingSteps

SPACE = NasBench201(channels=2, cells=1)


def test_it_grows_with_passes_and_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of 10 ms: four epochs, and for the evaluation a third of all images."""
    monkeypatch.setattr(TrainingSteps, "__call__", lambda *_: clock.advance(0.01))
    monkeypatch.setattr(estimate, "time", clock := Clock())
    task = get_task("digits", image_size=8)
    splits = task.splits()
    assert splits.test is not None
    recipe = replace(RECIPES["tiny"], epochs=4, batch_size=25)
    members = wanted_members(SPACE, [task], random_archs(SPACE, 5), range(2))
    evaluated = (len(splits.train) + len(splits.val) + len(splits.test)) / 3
    batch = -(-len(splits.train) // -(-len(splits.train) // 25))  # the first one is not the smallest
    expected = 10 * (4 * len(splits.train) + evaluated) * 0.01 / batch
    found = seconds_of(SPACE, alike_groups(members), recipe, torch.device("cpu"))
    assert found == pytest.approx(expected)


def test_a_step_that_was_held_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0

    def held_up(*_: object) -> None:
        nonlocal steps
        steps += 1
        clock.advance(5.0 if steps == 3 else 0.01)

    monkeypatch.setattr(TrainingSteps, "__call__", held_up)
    monkeypatch.setattr(estimate, "time", clock := Clock())
    recipe = replace(RECIPES["tiny"], epochs=1)
    members = wanted_members(SPACE, [get_task("digits", image_size=8)], random_archs(SPACE, 1), range(1))
    assert seconds_of(SPACE, alike_groups(members), recipe, torch.device("cpu")) < 5


def test_images_of_each_size_have_a_pace_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of 1 s for 8 pixels and 9 s for 24."""
    sides = iter([8] * 6 + [24] * 6)
    monkeypatch.setattr(TrainingSteps, "__call__", lambda *_: clock.advance((next(sides) / 8) ** 2))
    monkeypatch.setattr(estimate, "time", clock := Clock())
    recipe = replace(RECIPES["tiny"], epochs=3)

    def members(*sizes: int) -> list[list[Member]]:
        tasks = [replace(get_task("digits", image_size=size), name=f"digits{size}") for size in sizes]
        return alike_groups(wanted_members(SPACE, tasks, random_archs(SPACE, 1), range(1)))

    both = seconds_of(SPACE, members(8, 24), recipe, torch.device("cpu"))
    sides = iter([8] * 6)
    assert both == pytest.approx(10 * seconds_of(SPACE, members(8), recipe, torch.device("cpu")))


class Clock:
    """Runs only when it is told to."""

    def __init__(self) -> None:
        self.now = time.perf_counter()

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now
