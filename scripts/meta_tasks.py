"""The trained tiny tasks as the meta-predictor needs them: accuracies, encodings and archs' functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gennas.evaluators.task_calibration import COUNT
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.meta.predictor import TrainedTask
from gennas.predictors.task_encoder import encode_task
from gennas.spaces import Space, get_space
from gennas.tasks import Task, get_task
from gennas.tasks.tiny import HELD_OUT_TASKS, TRAINING_TASKS

SKELETON, RECIPE = "channels=8,cells=1", "tiny"
#: What sizes the networks whose costs are features of archs.
SIZED = Task("sized", (3, 16, 16), 10)
#: Validation images of a tiny task.
VALIDATED = 250
KINDS = {**TRAINING_TASKS, **HELD_OUT_TASKS}


def tiny_space() -> Space:
    """The space of the trained networks."""
    return get_space("nasbench201", SKELETON)


@dataclass(frozen=True, eq=False)
class TinyTables:
    """Trainings and encodings.

    Attributes:
        accuracy: task -> test accuracies: a row per arch, a column per seed.
        validation: task -> accuracies on :data:`VALIDATED` validation images, likewise.
        facts: task -> its encoding.
        basis: functions of the arch.
    """

    accuracy: dict[str, pd.DataFrame]
    validation: dict[str, pd.DataFrame]
    facts: dict[str, dict[str, float]]
    basis: ArchBasis

    @classmethod
    def read(cls, trained: Path, encodings: Path, held_out: bool) -> TinyTables:
        """Reads a Parquet file of trainings, and one of encodings, which is made or completed where tasks lack.

        Args:
            trained: with the columns ``task``, ``arch``, ``seed``, ``accuracy`` and ``test_accuracy``.
            encodings: of :func:`encoded`.
            held_out: whether the held-out tasks are read, too.
        """
        frame = pd.read_parquet(trained)
        groups = {
            str(task): group for task, group in frame.groupby("task") if task in (KINDS if held_out else TRAINING_TASKS)
        }
        tables, validation = (
            {task: group.pivot_table(index="arch", columns="seed", values=name) for task, group in groups.items()}
            for name in ("test_accuracy", "accuracy")
        )
        return cls(tables, validation, encoded(tables, encodings), ArchBasis.of_space(tiny_space(), SIZED))

    def names(self, held_out: bool) -> list[str]:
        """The tasks to learn from, or those of other kinds; sorted."""
        return sorted(name for name in self.accuracy if name in (HELD_OUT_TASKS if held_out else TRAINING_TASKS))

    @cached_property
    def _rows(self) -> dict[str, np.ndarray]:
        keys = sorted({key for table in self.accuracy.values() for key in table.index})
        functions = self.basis.of([self.basis.space.parse(key) for key in keys])
        return dict(zip(keys, functions, strict=True))

    def functions(self, keys: Iterable[str]) -> np.ndarray:
        """``(N, p)`` functions of trained archs by their keys."""
        return np.array([self._rows[key] for key in keys])

    def trained(self, name: str, facts: Iterable[str]) -> TrainedTask:
        """A task with its archs, and with some facts of its encoding."""
        table = self.accuracy[name]
        values = np.array([self.facts[name][fact] for fact in facts])
        return TrainedTask(name, values, self.functions(table.index), table.mean(axis=1).to_numpy())

    def single(self, name: str) -> np.ndarray:
        """``(N,)`` test accuracies of single trainings, in the order of :attr:`accuracy`."""
        found: np.ndarray = self.accuracy[name].bfill(axis=1).iloc[:, 0].to_numpy()
        return found

    def calibrated(self, name: str, forecast: TaskForecast) -> tuple[TaskForecast, np.ndarray]:
        """A forecast after gennas calibrated itself on a task, and the rows ``(k,)`` of the archs that it trained."""
        keys = self.accuracy[name].index
        functions, validated = self.functions(keys), self.validation[name].reindex(keys).bfill(axis=1).iloc[:, 0]
        rows = np.array(forecast.informative(functions, COUNT))
        return forecast.updated_at(functions[rows], validated.to_numpy()[rows], VALIDATED), rows


def encoded(tasks: Iterable[str], path: Path, seed: int = 0) -> dict[str, dict[str, float]]:
    """Task -> its encoding, from a Parquet file with a row per task; those that it lacks, or of other images, are made.

    Args:
        tasks: names.
        path: of the file; written after every task.
        seed: of the encoding.
    """
    torch.set_num_threads(1)
    known = pd.read_parquet(path).set_index("task") if path.is_file() else pd.DataFrame()
    rows = {str(name): dict(row) for name, row in known.iterrows()}
    found = {}
    for name in tasks:
        task = get_task(name)
        images = task.splits().fingerprint
        if name not in rows or rows[name]["fingerprint"] != images:
            rows[name] = {"fingerprint": images, **encode_task(task, seed=seed).facts}
            path.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame.from_dict(rows, orient="index").rename_axis("task").reset_index().to_parquet(path)
        found[name] = {fact: float(value) for fact, value in rows[name].items() if fact != "fingerprint"}
    return found
