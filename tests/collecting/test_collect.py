"""Collections: every training once, with the values of the ordinary trainer, whatever interrupts them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gennas.arch import Arch
from gennas.collecting import at_once, collect, run
from gennas.collecting.plan import alike_groups, equal_parts, random_archs, wanted_members
from gennas.errors import DataMissingError, InvalidInputError, StudyError
from gennas.evaluators.train import TrainEvaluator, silent
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.inline import InlineExecutor, evaluated_here
from gennas.spaces import Space, get_space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.studies.study import Study
from gennas.tasks import ImageSource, Split, Splits, Task, get_task
from gennas.tasks.targets import target_kind
from gennas.training.recipe import RECIPES, Recipe
from gennas.training.stacked.fitting import StackTrained, train_stack

SPACE = NasBench201(channels=2, cells=1)
RECIPE = replace(RECIPES["tiny"], epochs=1, batch_size=8)


@dataclass(frozen=True)
class Noise(ImageSource):
    """Random images; those of another seed are others."""

    count: int
    seed: int = 0

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(self.seed)

        def split(count: int) -> Split:
            return Split(rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8), rng.integers(0, 3, count))

        return Splits(split(self.count), split(20), split(30))


def task(name: str = "noise", count: int = 20, seed: int = 0) -> Task:
    return Task(name, (3, 8, 8), 3, source=Noise(count, seed))


def stored(folder: Path) -> dict[tuple[str, str, int, str], float]:
    return {(row.task, row.arch, row.seed, row.metric): row.value for row in Study(folder).find()}


def spaces() -> list[Space]:
    return [SPACE, get_space("nasbench101", "channels=4,stacks=1,modules=1")]


@pytest.mark.parametrize("space", spaces(), ids=lambda space: str(space.name))
def test_values_and_rows_are_those_of_validations(space: Space, tmp_path: Path) -> None:
    archs = random_archs(space, 2)
    result = collect(space, [task()], archs, folder=tmp_path / "run", recipe=RECIPE, seed=3)
    assert (result.wanted, result.trained, dict(result.failed)) == (2, 2, {})
    trainer = TrainEvaluator(space, RECIPE, tmp_path / "networks", silent)
    for arch in archs:
        expected = trainer.evaluate(arch, task=task(), seed=3)
        rows = Study(tmp_path / "run").find(arch=arch.key)
        assert {row.metric: row.value for row in rows} == pytest.approx(expected)
        conditions = trainer.conditions(3, None)
        for row in rows:
            assert (row.source, row.space, row.task, row.seconds > 0) == ("trained", space.name, "noise", True)
            assert (row.seed, row.fidelity, row.recipe) == (conditions.seed, conditions.fidelity, conditions.recipe)
    # Nothing is left of them but their values.
    names = {path.name for path in (tmp_path / "run").iterdir() if not path.name.startswith(".")}
    assert names == {"study.sqlite", "study.lock", "config.yaml", "tasks.json", "trainings.parquet"}


@dataclass(frozen=True)
class Brightness(Noise):
    """The mean of each image."""

    targets = target_kind("regression")

    def read(self, seed: int) -> Splits:
        splits = super().read(seed)

        def measured(split: Split) -> Split:
            return Split(split.images, split.images.mean((1, 2, 3))[:, None].astype(np.float32))

        assert splits.test is not None
        return Splits(measured(splits.train), measured(splits.val), measured(splits.test))


def test_tasks_of_values_are_trained_one_by_one_with_metrics_of_their_own(tmp_path: Path) -> None:
    bright = Task("bright", (3, 8, 8), 1, source=Brightness(20))
    collect(SPACE, [task(), bright], 1, folder=tmp_path, recipe=RECIPE)
    rows = collect(SPACE, [task(), bright], 1, folder=tmp_path, recipe=RECIPE)
    assert rows.trained == 0
    frame = rows.frame().set_index("task")
    assert frame["accuracy"].notna().to_dict() == {"noise": True, "bright": False}
    assert frame["r2"].notna().to_dict() == {"noise": False, "bright": True}
    assert frame["test_r2"].notna().to_dict() == {"noise": False, "bright": True}


def test_a_row_per_training(tmp_path: Path) -> None:
    archs = {"a": random_archs(SPACE, 2), "b": random_archs(SPACE, 1)}
    result = collect(SPACE, [task("a"), task("b", 30)], archs, folder=tmp_path, recipe=RECIPE, seeds=2, at_once=3)
    frame = result.frame()
    assert list(frame.columns[:5]) == ["task", "arch", "seed", "accuracy", "test_accuracy"]
    assert frame.groupby("task").size().to_dict() == {"a": 4, "b": 2}
    values = stored(tmp_path)
    for row in frame.itertuples():
        for name in ("accuracy", "test_accuracy", "macro_f1"):
            assert values[row.task, row.arch, row.seed, f"{name}@{row.task}"] == getattr(row, name)


def test_whatever_interrupts_it_nothing_is_trained_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[str, str, int]] = []
    calls, stop = 0, 0

    def counted(space: Space, members: Sequence[Any], recipe: Recipe, **options: Any) -> list[StackTrained]:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        found = train_stack(space, members, recipe, **options)
        trained.extend((one.task.name, one.arch.key, one.seed) for one in members)
        return found

    def run(folder: str) -> None:
        tasks = [task("a"), task("b", seed=1), task("c", 26)]
        collect(SPACE, tasks, 2, folder=tmp_path / folder, recipe=RECIPE, seeds=2, at_once=3)

    monkeypatch.setattr(at_once, "train_stack", counted)
    run("whole")
    whole, trained[:] = list(trained), []
    assert len(whole) == len(set(whole)) == 12
    for killed in (1, 2, 2, 3):
        calls, stop = 0, killed
        with pytest.raises(KeyboardInterrupt):
            run("often")
    calls, stop = 0, 0
    run("often")
    assert sorted(trained) == sorted(whole)
    assert stored(tmp_path / "often") == stored(tmp_path / "whole")
    calls = 0
    run("often")
    assert calls == 0


def test_studies_grow_by_tasks_archs_and_seeds(tmp_path: Path) -> None:
    first = collect(SPACE, [task("a")], 1, folder=tmp_path, recipe=RECIPE)
    second = collect(SPACE, [task("b"), task("a")], 2, folder=tmp_path, recipe=RECIPE, seeds=2)
    assert (first.wanted, first.trained, second.wanted, second.trained) == (1, 1, 8, 7)


def test_rows_of_other_images_settings_or_spaces_are_not_mixed(tmp_path: Path) -> None:
    collect(SPACE, [task()], 1, folder=tmp_path, recipe=RECIPE)
    with pytest.raises(StudyError, match="trainings on other images of task 'noise'"):
        collect(SPACE, [task(seed=1)], 1, folder=tmp_path, recipe=RECIPE)
    with pytest.raises(StudyError, match=r"recipe\.epochs was 1, is now 2"):
        collect(SPACE, [task()], 1, folder=tmp_path, recipe=replace(RECIPE, epochs=2))
    with pytest.raises(StudyError, match=r"space\.skeleton\.channels was 2, is now 3"):
        collect(NasBench201(channels=3, cells=1), [task()], 1, folder=tmp_path, recipe=RECIPE)
    # The seed is no setting of the study.
    collect(SPACE, [task()], 1, folder=tmp_path, recipe=replace(RECIPE, seed=5))


def test_what_diverges_is_a_failure_and_not_trained_again(tmp_path: Path) -> None:
    wild = replace(RECIPE, optimiser="sgd", learning_rate=1e30)
    for trained_again in (False, True):
        result = collect(SPACE, [task()], 2, folder=tmp_path, recipe=wild)
        assert (result.wanted, result.trained, len(result.failed)) == (2, 0, 2)
        assert "training diverged: the loss is" in next(iter(result.failed.values()))
        assert len(Study(tmp_path).failures(reason="not_finite")) == 2, trained_again


class Careless(Executor):
    """Loses every job the first time, and those of one arch every time."""

    runs_here = True

    def __init__(self, doomed: Arch, slow: Arch | None = None) -> None:
        self.doomed, self.slow, self.jobs, self.seen = doomed, slow, list[Job](), list[int]()

    @property
    def capacity(self) -> int:
        return 2

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        job = self.jobs.pop(0)
        self.seen.append(job.number)
        if job.arch == self.slow:
            return [JobResult(job, None, "timeout", "it took more than 1 s")]
        if self.seen.count(job.number) == 1 or job.arch == self.doomed:
            return [JobResult(job, None, "lost", "its worker died")]
        return [evaluated_here(job)]

    def stop(self) -> None:
        self.jobs.clear()

    def close(self) -> None:
        self.stop()


def test_what_is_lost_with_a_worker_is_tried_three_times(tmp_path: Path) -> None:
    archs = random_archs(SPACE, 3)
    executor = Careless(archs[1])
    result = collect(SPACE, [task()], archs, folder=tmp_path, recipe=RECIPE, workers=executor)
    assert sorted(executor.seen) == [0, 0, 1, 1, 1, 2, 2]
    assert (result.trained, dict(result.failed)) == (2, {("noise", archs[1].key, 0): "its worker died"})
    # Lost is not failed for good: the next run tries again.
    again = collect(SPACE, [task()], archs, folder=tmp_path, recipe=RECIPE, workers=InlineExecutor())
    assert (again.trained, len(stored(tmp_path)), dict(again.failed)) == (1, 18, {})


def test_what_ran_out_of_time_is_told_and_tried_again(tmp_path: Path) -> None:
    archs = random_archs(SPACE, 2)
    for _ in range(2):
        result = collect(
            SPACE, [task()], archs, folder=tmp_path, recipe=RECIPE, workers=Careless(archs[1], slow=archs[0])
        )
        assert result.failed["noise", archs[0].key, 0] == "it took more than 1 s"
    again = collect(SPACE, [task()], archs, folder=tmp_path, recipe=RECIPE)
    assert (again.trained, dict(again.failed)) == (2, {})


def test_a_training_with_a_timeout_has_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(workers: int) -> Careless:
        assert workers == 1
        return Careless(archs[1])

    archs = random_archs(SPACE, 2)
    monkeypatch.setattr(run, "ProcessExecutor", started)
    assert collect(SPACE, [task()], archs, folder=tmp_path, recipe=RECIPE, timeout=60).trained == 1


def test_archs_are_drawn_once_and_fewer_are_the_first_of_more() -> None:
    archs = random_archs(SPACE, 40, seed=2)
    assert archs[:15] == random_archs(SPACE, 15, seed=2) != random_archs(SPACE, 15, seed=3)
    assert len({SPACE.canonical(arch).key for arch in archs}) == 40
    assert not any(SPACE.is_constant(arch) for arch in archs)
    with pytest.raises(InvalidInputError, match="must be at least 1"):
        random_archs(SPACE, 0)


def test_stacks_have_one_number_of_training_images_and_nearly_equal_sizes() -> None:
    archs = random_archs(SPACE, 4)
    members = wanted_members(SPACE, [task("a"), task("b", 30), task("c")], archs, range(2))
    groups = alike_groups(members)
    assert [{one.task.name for one in group} for group in groups] == [{"a", "c"}, {"b"}]
    assert [len(part) for part in equal_parts(groups[0], 7)] == [6, 5, 5]
    assert [one for part in equal_parts(groups[0], 7) for one in part] == groups[0]


def test_wrong_wishes_are_refused(tmp_path: Path) -> None:
    def refused(match: str, *wish: Any, **options: Any) -> None:
        with pytest.raises((InvalidInputError, DataMissingError), match=match):
            collect(SPACE, *wish, folder=tmp_path / "no", recipe=RECIPE, **options)

    refused("give at least one task", [], 1)
    refused("has none for task 'noise'", [task()], {})
    refused("'noise' twice", [task(), task(seed=1)], 1)
    refused("seeds is 0; must be at least 1", [task()], 1, seeds=0)
    refused("comes without images", ["cifar100"], 1)
    refused("at_once is for networks .* with `workers` or a `timeout` they", [task()], 1, at_once=2, timeout=5)
    refused("device is for networks that are trained at once", [task()], 1, device="cpu", workers=2)
    assert get_task("cifar100").source is None


def test_nothing_of_the_command_line_is_needed(tmp_path: Path) -> None:
    """On the machine of a GPU only what trains may be installed."""
    program = f"""
import sys
for name in ("jsonargparse", "tensorboardX", "lightning", "sklearn", "torch_geometric", "botorch", "onnx", "rich"):
    sys.modules[name] = None
from gennas.collecting import collect
from gennas.spaces import get_space
from gennas.tasks.tiny import TRAINING_TASKS
from gennas.training.recipe import Recipe
space = get_space("nasbench201", "channels=2,cells=1")
collect(space, [next(iter(TRAINING_TASKS))], 1, folder={str(tmp_path)!r}, recipe=Recipe(epochs=1, augmentation="none"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert len(stored(tmp_path)) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_many_at_once(tmp_path: Path) -> None:
    result = collect(SPACE, [task()], 20, folder=tmp_path, recipe=RECIPE)
    assert result.trained == 20
