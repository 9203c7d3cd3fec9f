"""Sets of tasks on which the same archs were evaluated."""

from __future__ import annotations

import os
import re
from ast import literal_eval
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

#: Archs of a set, at most: of larger ones a random part.
MOST = 3000


@dataclass(frozen=True)
class TaskSet:
    """``N`` archs, each evaluated on ``T`` tasks.

    Attributes:
        choices: ``(N, s)`` what is chosen at each place of an arch.
        values: ``(N, T)`` larger is better.
        noise: ``(N, T)`` the std of a value over seeds, where it is known.
        scores: task -> training-free scores ``(N, p)`` there, where these are known.
    """

    choices: np.ndarray
    values: pd.DataFrame
    noise: pd.DataFrame | None = None
    scores: dict[str, pd.DataFrame] = field(default_factory=dict)

    def part(self, most: int = MOST) -> TaskSet:
        """At most so many archs, drawn at random."""
        rows = np.sort(np.random.default_rng(7).permutation(len(self.values))[:most])
        noise = None if self.noise is None else self.noise.iloc[rows]
        scores = {task: frame.iloc[rows] for task, frame in self.scores.items()}
        return TaskSet(self.choices[rows], self.values.iloc[rows], noise, scores)

    def one_hot(self) -> tuple[np.ndarray, list[int]]:
        """``(N, c)`` choices as columns, with mean 0, and the place of each, counted from 0."""
        columns, places = list[np.ndarray](), list[int]()
        for place in self.choices.T:
            names = np.unique(place)
            if len(names) > 1:
                columns.append((place[:, None] == names) * 0.5**0.5)
                places += [max(places, default=-1) + 1] * len(names)
        values = np.hstack(columns)
        return values - values.mean(axis=0), places


def graph_neural(kind: str) -> TaskSet:
    """M-DESIGN's graph neural networks: accuracy on nodes and graphs, the area under the curve on links."""
    frame = _read("mdesign_gnn_tasks.parquet")
    frame = frame[frame["task"] == kind]
    chosen = [name for name in ("neigh", "decode", "norm", "agg", "comb", "l_mp", "stage") if frame[name].notna().all()]
    metric = "auc" if kind == "link" else "accuracy"
    frame = frame.assign(arch=frame[chosen].astype(str).agg("|".join, axis=1))
    values, noise = (frame.pivot_table(index="arch", columns="set", values=name) for name in (metric, f"{metric}_std"))
    return TaskSet(np.array([key.split("|") for key in values.index]), values, noise)


def transformers() -> TaskSet:
    """Sub-networks of a vision transformer on retrieval tasks, by rank: 0 is the best, as wide ones are low."""
    frame = -_read("vit8_ranks.parquet").set_index("arch").astype(float)
    return TaskSet(np.array([list(key) for key in frame.index]), frame.rename(columns=lambda name: name[:-5]))


def transnas() -> TaskSet:
    """Cells of TransNAS-Bench-101 on tasks of vision."""
    frame = _read("transnas101_micro.parquet")
    values = frame.pivot_table(index="arch", columns="task", values="val_accuracy").dropna()
    scores = {
        str(task): part.set_index("arch").drop(columns=["task", "idx", "val_accuracy"]).loc[values.index]
        for task, part in frame.groupby("task")
    }
    return TaskSet(np.array([list(map(str, literal_eval(key))) for key in values.index]), values, None, scores)


def nasbench_graph() -> TaskSet:
    """NAS-Bench-Graph's networks on eight data sets, without proteins, on which few were trained."""
    frame = _read("nasbench_graph.parquet")
    values = frame.filter(regex="^valid_").rename(columns=lambda name: name.removeprefix("valid_"))
    choices = [list(link) + ops.split() for link, ops in zip(frame["link"], frame["ops"], strict=True)]
    return TaskSet(np.array(choices), values)


def nasbench201() -> TaskSet:
    """Cells of NAS-Bench-201 that have training-free scores; those of CIFAR-10 stand for CIFAR-100's, too."""
    table, scores = _read("nasbench201.parquet").set_index("index"), _read("nasbench201_proxies.parquet")
    scores = scores.set_index("index").rename(index=int)
    table = table.loc[scores.index]
    values = table[["valid200_c10", "valid200_c100", "valid200_in16"]].rename(columns=lambda name: name[9:])
    of_images = {
        images: scores.filter(regex=f"_{images}$").rename(columns=lambda name: name.rpartition("_")[0])
        for images in ("c10", "in16")
    }
    choices = np.array([re.findall(r"([a-z_0-9]+)~", key) for key in table["arch_str"]])
    return TaskSet(
        choices, values, None, {"c10": of_images["c10"], "c100": of_images["c10"], "in16": of_images["in16"]}
    )


#: Name of a set -> how it is read.
SETS: dict[str, Callable[[], TaskSet]] = {
    "vit": transformers,
    "node": lambda: graph_neural("node"),
    "link": lambda: graph_neural("link"),
    "graph": lambda: graph_neural("graph"),
    "nasbench201": nasbench201,
    "transnas": transnas,
    "nasbench_graph": nasbench_graph,
}


def _read(name: str) -> pd.DataFrame:
    return pd.read_parquet(Path(os.environ["GENNAS_DATA"]) / name)
