"""What the benches of predictors share: archs of a table with their features, and how numbers of seeds are given."""

import ast
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from gennas.arch import Arch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.training import sizing_task
from gennas.spaces import Space, get_space
from gennas.spaces.nasbench201.space import OPS
from gennas.tables import load_table
from gennas.tasks import Task

TRANSNAS = "transnas101_micro"


@dataclass(frozen=True)
class Bench:
    """Archs whose every accuracy is known.

    Attributes:
        space: of the archs.
        task: the first one known among the metrics' tasks, for which costs are told.
        archs: ``N`` of them.
        features: ``(N, f)``, what can be told of them for nothing.
        views: how many features, from the first on, are the simpler view.
        values: ``N`` rows, a column for each metric; more is better.
    """

    space: Space
    task: Task
    archs: list[Arch]
    features: np.ndarray
    views: int
    values: pd.DataFrame

    @classmethod
    def of(cls, space: Space, archs: list[Arch], values: pd.DataFrame) -> "Bench":
        """With the features of the archs."""
        made, task = GraphFeatures(space), sizing_task([str(metric) for metric in values])
        return cls(space, task, archs, made.of(archs, task), made.simple, values)


def bench_of(name: str) -> Bench:
    """The accuracies of a table by its name, or those of TransNAS-Bench-101's micro cells.

    Of NAS-Bench-101 there are the 30,001 cells whose validation accuracy is known, with their test accuracies too.
    NAS-Bench-Graph is without proteins, which few archs were trained on.
    """
    tell(f"reading {name}")
    if name == TRANSNAS:
        return _transnas()
    table = load_table(name)
    space = get_space(table.space)
    kinds = ("accuracy@", "test_accuracy@") if name == "nasbench101" else ("accuracy@",)
    metrics = [name for name in table.metrics() if name.startswith(kinds) and not name.endswith("@proteins")]
    values = table.frame[metrics].dropna()
    return Bench.of(space, [space.parse(key) for key in values.index], values)


def _transnas() -> Bench:
    """711 cells on 7 vision tasks; each is a NAS-Bench-201 cell without poolings, and is described as that is."""
    rows = pd.read_parquet(Path(os.environ["GENNAS_DATA"]) / f"{TRANSNAS}.parquet")
    values = rows.pivot_table(index="arch", columns="task", values="val_accuracy").dropna()
    space = get_space("nasbench201")
    cells = [[OPS[number] for number in ast.literal_eval(cell)] for cell in values.index]
    archs = [space.arch(["input", *cell, "output"]) for cell in cells]
    return Bench.of(space, archs, values.add_prefix("accuracy@"))


def drawn(count: int, archs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` random rows of ``archs``, and all others in random order."""
    order = np.random.default_rng(seed).permutation(archs)
    return order[:count], order[count:]


def tau(truth: np.ndarray, told: np.ndarray) -> float:
    """Kendall's tau-b."""
    return float(kendalltau(truth, told).statistic)


def over_seeds(values: Iterable[float]) -> dict[str, Any]:
    """Mean, standard deviation and every seed's number."""
    numbers = np.array(list(values), dtype=float)
    std = round(float(numbers.std(ddof=1)), 4) if len(numbers) > 1 else None
    return {"mean": round(float(numbers.mean()), 4), "std": std, "seeds": rounded(numbers)}


def rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    """To four digits, which is more than any of them means."""
    return [round(float(value), 4) for value in values]


def tell(what: str) -> None:
    """How far the bench is; stdout is for the document."""
    print(what, file=sys.stderr, flush=True)
