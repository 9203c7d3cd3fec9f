"""One search for several tasks: a front for each, what is good for all, and what is of no task evaluated once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from loop_toys import accuracy_of
from toys import drawn

from gennas.arch import Arch
from gennas.errors import DataMissingError, InvalidInputError, StudyError, UnknownNameError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.problem import Problem
from gennas.report import write_report
from gennas.report.run import Run
from gennas.search.run import SearchResult, search_archs
from gennas.search.search import Search
from gennas.search.settings import Measuring
from gennas.spaces import get_space
from gennas.studies.networks import StudyNetworks, study_task
from gennas.studies.study import Study
from gennas.tables import Table
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe

SPACE = get_space("nasbench201")
TASKS = ("cifar10", "cifar100")
NAMES = ("accuracy@cifar10", "accuracy@cifar100")
ARCHS = list(dict.fromkeys(drawn(SPACE, 25)))
VALUES = np.random.default_rng(0).uniform(0.5, 0.9, (len(ARCHS), 2))
FRAME = pd.DataFrame(VALUES, columns=list(NAMES), index=pd.Index([arch.key for arch in ARCHS], name="key"))
TABLE = Table("part", "nasbench201", FRAME, {}, (), {}, Path("part.csv"))


class Toy(Evaluator):
    """An accuracy that depends on the arch and the task.

    Args:
        unlucky: task of which archs of a small accuracy fail.
        log: receives a line for each evaluation.
        dies_after: evaluations after which the process is killed.
    """

    source = "trained"
    is_instant = True

    def __init__(self, unlucky: str = "", log: Path | None = None, dies_after: int = 0) -> None:
        self.unlucky, self.log, self.dies_after = unlucky, log, dies_after
        self.count = 0

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        self.count += 1
        if self.count == self.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{arch.key} {task.name}\n")
        value = accuracy_for(arch, task.name)
        if task.name == self.unlucky and value < 0.4:
            raise RuntimeError("no memory for 3 bytes")
        return {f"accuracy@{task.name}": value}


def accuracy_for(arch: Arch, task: str) -> float:
    return accuracy_of(replace(arch, key=f"{arch.key} {task}"))


def found_by(
    evaluator: Evaluator, study: Path | None = None, objective: str = "accuracy", **options: Any
) -> SearchResult:
    problem = Problem(SPACE, TASKS, objective, options.pop("where", ()))
    return search_archs(problem, policy="random", evaluators=[evaluator], study=study, **{"budget": 12, **options})


def not_beaten(gains: np.ndarray) -> set[int]:
    """Rows of ``(N, m)`` that no other dominates, by looking at all pairs; of one metric the best alone."""
    beats = (gains[:, None] >= gains[None]).all(2) & (gains[:, None] > gains[None]).any(2)
    return set(np.flatnonzero(~beats.any(0)).tolist())


def test_fronts_of_a_table_are_those_of_all_pairs() -> None:
    problem = TABLE.within(Problem(SPACE, TASKS, "accuracy, -params_m"))
    assert [metric.name for metric in problem.metrics] == [*NAMES, "params_m"]
    result = search_archs(problem, len(ARCHS), policy="random", evaluators=Measuring(TABLE), distinct="archs")
    assert (result.proposed, result.evaluated, result.failed) == (len(ARCHS), len(ARCHS), 0)
    params = [-SPACE.costs(arch, problem.task)["params_m"] for arch in ARCHS]
    for place, task in enumerate(TASKS):
        front = result.task_fronts[task]
        expected = not_beaten(np.column_stack([VALUES[:, place], params]))
        assert {entry.key for entry in front} == {ARCHS[row].key for row in expected}
        accuracies = [entry.metrics[NAMES[place]] for entry in front]
        assert accuracies == sorted(accuracies, reverse=True)
    whole = not_beaten(np.column_stack([VALUES, params]))
    assert {entry.key for entry in result.best} == {ARCHS[row].key for row in whole}
    # Ranks by counting: no two values are equal.
    ranks = (VALUES[:, None] < VALUES[None]).sum(1).mean(1) + 1
    assert {found.entry.key for found in result.for_all_tasks} == {ARCHS[row].key for row in not_beaten(VALUES)}
    by_key = {arch.key: rank for arch, rank in zip(ARCHS, ranks, strict=True)}
    assert [found.mean_rank for found in result.for_all_tasks] == [
        by_key[one.entry.key] for one in result.for_all_tasks
    ]
    assert result.for_all_tasks[0].mean_rank == min(by_key[found.entry.key] for found in result.for_all_tasks)
    assert result.best[0].key == min((entry.key for entry in result.best), key=by_key.__getitem__)


def test_what_is_of_no_task_is_evaluated_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    costs: Counter[str] = Counter()
    computed = CostEvaluator.evaluate

    def counted(self: CostEvaluator, arch: Arch, *, task: Task, **others: Any) -> dict[str, float]:
        costs[arch.key] += 1
        assert task.name == TASKS[0]
        return computed(self, arch, task=task, **others)

    monkeypatch.setattr(CostEvaluator, "evaluate", counted)
    result = found_by(Toy(log=tmp_path / "log"), tmp_path / "run")
    assert result.evaluated == 12
    assert len(costs) == 12
    assert set(costs.values()) == {1}
    evaluated = Counter((tmp_path / "log").read_text().splitlines())
    assert set(evaluated.values()) == {1}
    assert Counter(line.split()[-1] for line in evaluated) == {"cifar10": 12, "cifar100": 12}
    rows = Study(tmp_path / "run").find()
    assert {(row.metric, row.task) for row in rows} == {
        *((f"accuracy@{task}", task) for task in TASKS),
        ("params_m", TASKS[0]),
        ("macs_m", TASKS[0]),
    }


def test_what_fails_for_one_task_counts_for_the_other(tmp_path: Path) -> None:
    for unlucky, other in (TASKS, TASKS[::-1]):
        result = found_by(Toy(unlucky), tmp_path / unlucky)
        frame = result.frame()
        failed = frame["state"] == "failed"
        assert 0 < failed.sum() == result.failed < 12
        assert frame.loc[failed, f"accuracy@{unlucky}"].isna().all()
        assert frame[f"accuracy@{other}"].notna().all()
        assert set(frame.loc[failed, "message"]) == {f"{unlucky}: RuntimeError: no memory for 3 bytes"}
        best = int(frame[f"accuracy@{other}"].argmax())
        (front,) = result.task_fronts[other]
        assert front.key == frame["key"].iloc[best]
        good = {found.entry.key for found in result.for_all_tasks}
        assert good <= set(frame.loc[~failed, "key"])
        # It is not tried again.
        assert found_by(Toy(unlucky, dies_after=1), tmp_path / unlucky).frame().equals(frame)


def test_an_arch_that_fails_for_all_tasks_says_so_once() -> None:
    class Hopeless(Toy):
        def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
            raise RuntimeError("no")

    result = found_by(Hopeless(), budget=2)
    assert (result.failed, result.best, result.for_all_tasks) == (2, (), ())
    assert set(result.frame()["message"]) == {"cifar10, cifar100: RuntimeError: no"}
    assert result.task_fronts == {"cifar10": (), "cifar100": ()}


def test_a_bound_of_one_task_ends_the_evaluation_for_the_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = found_by(Toy(log=log), where=["accuracy@cifar10 >= 0.5"])
    frame = result.frame()
    keeps = frame["accuracy@cifar10"] >= 0.5
    assert 0 < keeps.sum() < 12
    assert frame.loc[keeps, "accuracy@cifar100"].notna().all()
    assert frame.loc[~keeps, "accuracy@cifar100"].isna().all()
    assert all(entry.metrics["accuracy@cifar10"] >= 0.5 for entry in result.task_fronts["cifar100"])
    both = Problem(SPACE, TASKS, where=["accuracy >= 0.5", "params_m <= 1"])
    assert list(map(str, both.where)) == ["accuracy@cifar10 >= 0.5", "accuracy@cifar100 >= 0.5", "params_m <= 1"]


def main(folder: str) -> None:
    """Is killed in its second batch of five archs."""
    found_by(Toy(dies_after=13), Path(folder))


def test_killed_it_resumes_where_it_was(tmp_path: Path) -> None:
    place = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place)}
    code = f"import test_several_tasks; test_several_tasks.main({str(tmp_path / 'run')!r})"
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    before = {(row.arch, row.metric) for row in Study(tmp_path / "run").find()}
    trained = {one for one in before if one[1] in NAMES}
    assert len(trained) == 10
    log = tmp_path / "log"
    resumed, whole = found_by(Toy(log=log), tmp_path / "run"), found_by(Toy())
    assert resumed.frame().equals(whole.frame())
    again = {(line.split()[0], f"accuracy@{line.split()[1]}") for line in log.read_text().splitlines()}
    assert len(again) == 24 - len(trained)
    assert not again & trained
    with pytest.raises(StudyError, match="others"):
        search_archs(
            Problem(SPACE, [*TASKS, "imagenet16-120"]), 12, policy="random", evaluators=[Toy()], study=tmp_path / "run"
        )


def test_told_values_belong_to_their_tasks(tmp_path: Path) -> None:
    problem = Problem(SPACE, TASKS)

    def search() -> Search:
        return Search(problem, study=tmp_path / "run", budget=2, policy="random")

    with search() as one:
        (trial,) = one.ask()
        with pytest.raises(InvalidInputError, match="may be that of several tasks; write one of accuracy@cifar10, "):
            one.tell(trial, {"accuracy": 0.9})
        with pytest.raises(InvalidInputError, match="lacks accuracy@cifar100"):
            one.tell(trial, {"accuracy@cifar10": 0.9})
        one.tell(trial, {"accuracy@cifar10": 0.9, "accuracy@cifar100": 0.6})
    rows = {row.metric: row.task for row in Study(tmp_path / "run").find()}
    assert {name: rows[name] for name in NAMES} == dict(zip(NAMES, TASKS, strict=True))
    with search() as one:
        assert [trial.state for trial in one.trials] == ["done"]
        assert one.for_all_tasks()[0].mean_rank == 1


@pytest.mark.parametrize(
    ("tasks", "objective", "error", "message"),
    [
        (["cifar10", "cifar1000"], "accuracy", UnknownNameError, "unknown task 'cifar1000'"),
        (["cifar10", "cifar10"], "accuracy", InvalidInputError, "task names 'cifar10' twice"),
        ([], "accuracy", InvalidInputError, "task names no task"),
        (TASKS, "accuracy@cifar10", InvalidInputError, "has nothing of task 'cifar100'; add e.g. accuracy@cifar100"),
        (TASKS, "accuracy, accuracy@digits", InvalidInputError, "accuracy@digits is wanted; add the task"),
    ],
)
def test_tasks_that_cannot_be_searched_for(
    tasks: list[str], objective: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        search_archs(Problem(SPACE, tasks, objective), 2, policy="random", evaluators=[Toy()])


def test_what_lacks_for_one_of_the_tasks_is_told_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="task 'cifar100' comes without images"):
        search_archs(Problem(SPACE, ["digits", "cifar100"]), 2, policy="random", study=tmp_path / "run")
    with pytest.raises(UnknownNameError, match="accuracy@digits"):
        search_archs(Problem(SPACE, ["cifar10", "digits"]), 2, policy="random", evaluators=Measuring(TABLE))
    with pytest.raises(InvalidInputError, match="a supernet is for one task"):
        search_archs(
            Problem(SPACE, ["digits", "cifar10"]), 2, policy="random", evaluators=Measuring(supernet=tmp_path),
            study=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_networks_of_tasks_with_other_images_and_classes(shades: Path, tmp_path: Path) -> None:
    space = get_space("nasbench201", "channels=4,cells=1")
    tasks = [get_task(str(shades), image_size=8), get_task("digits", image_size=12)]
    problem, run = Problem(space, tasks, "accuracy, -macs_m"), tmp_path / "run"
    assert [metric.name for metric in problem.metrics] == ["accuracy@shades", "accuracy@digits", "macs_m"]
    result = search_archs(
        problem, 2, policy="random", evaluators=Measuring(recipe=Recipe(epochs=1)), workers=InlineExecutor(), study=run
    )
    assert (result.evaluated, result.failed) == (2, 0)
    assert any("macs_m is that of the network for shades, the first task" in note for note in result.notes)
    for task, folder in zip(tasks, (run, run / "tasks" / "digits"), strict=True):
        for entry in result.task_fronts[task.name]:
            assert entry.folder is not None
            assert entry.folder.parent == folder / "networks"
        study = Study(run)
        named = study_task(study, None if task.name == "shades" else task.name)
        assert (named.name, named.input_shape) == (task.name, task.input_shape)
        networks = StudyNetworks(study, named)
        assert len(networks.keys) == 2
        kept = networks.load()
        values = {key: networks.values(key)[f"accuracy@{task.name}"] for key in networks.keys}
        assert values[kept.arch.key] == max(values.values())
        shapes = [tuple(weight.shape) for name, weight in kept.network.state_dict().items() if name.endswith("bias")]
        assert (task.num_classes,) in shapes
    page = write_report(run).read_text()
    assert Run.read(run).tasks == ("shades", "digits")
    assert "Good for all tasks" in page
