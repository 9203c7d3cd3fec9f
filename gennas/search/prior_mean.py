"""What is known of a metric before the first evaluation: functions of archs that it is probably a mix of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from gennas.arch import Arch
from gennas.metrics import Metric
from gennas.predictors.basis import BasisFunctions
from gennas.predictors.features import GraphFeatures
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.normal_scores import normal_scores
from gennas.problem import Problem
from gennas.spaces import Space
from gennas.tables import Table
from gennas.tasks import Task

#: Share of how far one arch's accuracy is from what archs like it have that counts.
OWN_SHARE = 0.3
#: With five times as many they say the same (correlation 0.998), and a search would wait for minutes.
TREES = 20


class Prior(ABC):
    """Functions of archs, each with mean 0 and std 1 over the space; a metric is expected to be like their mean."""

    @abstractmethod
    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        """``(N, D)`` the functions that tell something of a metric, larger where the metric is larger; ``D`` may be 0.

        Args:
            archs: of the space.
            metric: with its target.
        """


class PredictorPrior(Prior):
    """What a trained predictor knows: the metric itself, or the same kind of metric at other places.

    Args:
        predictor: of a checkpoint.
        space: of the archs.
        without: metrics of which the predictor shall not be asked, though it may know them.
    """

    def __init__(self, predictor: GNNPredictor, space: Space, without: Sequence[str] = ()) -> None:
        self.predictor, self.space, self.without = predictor, space, frozenset(without)
        self._functions: dict[str, BasisFunctions | None] = {}

    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        kind = metric.kind.name
        names = [name for name in self.predictor.metrics if name.startswith(f"{kind}@")]
        if not names or kind not in ("accuracy", "latency_ms"):
            return np.empty((len(archs), 0))
        if kind not in self._functions:
            self._functions[kind] = BasisFunctions(self.predictor, self.space, kind)
        functions = self._functions[kind]
        assert functions is not None
        asked = [names.index(metric.name)] if metric.name in names and metric.name not in self.without else []
        columns = asked or [column for column, name in enumerate(names) if name not in self.without]
        return functions.of(archs)[:, columns]


class TablePrior(Prior):
    """What a table knows of other tasks or devices.

    Functions are normal scores. Of an accuracy they are what trees on the graph's features say, and a part of how far
    the arch's own value is from that: most of the rest is the noise of its training. Nothing that is asked about is
    ever looked at.

    Args:
        table: the table.
        space: of its archs.
        task: what the networks are for; the costs among the features are for its images.
        metrics: of the table, those that are known.
        seed: of the trees.
    """

    def __init__(self, table: Table, space: Space, task: Task, metrics: Sequence[str], seed: int = 0) -> None:
        known = table.frame[list(metrics)].dropna()
        archs = [space.parse(str(key)) for key in known.index]
        columns = [normal_scores(known[name].to_numpy(float)) for name in metrics]
        accuracies = [at for at, name in enumerate(metrics) if name.startswith("accuracy@")]
        features = GraphFeatures(space).of(archs, task) if accuracies else np.empty((len(archs), 0))
        for at in accuracies:
            forest = ExtraTreesRegressor(TREES, max_features=0.3, min_samples_leaf=3, random_state=seed)
            smooth = forest.fit(features, columns[at]).predict(features)
            columns[at] = smooth + OWN_SHARE * (columns[at] - smooth)
        values = np.column_stack(columns)
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        self.metrics, self.space = tuple(metrics), space
        self._values = dict(zip((arch.key for arch in archs), values, strict=True))
        self._unknown = np.zeros(len(metrics))

    @classmethod
    def of_others(cls, table: Table, problem: Problem, seed: int = 0) -> TablePrior | None:
        """What a table knows of a problem's accuracies and latencies at other places; None where it knows none.

        Left out are the places that the problem asks about, and devices of the same chip.
        """
        kinds = {metric.kind.name for metric in problem.metrics if not metric.is_cost}
        asked = {chip(metric.target) for metric in problem.metrics if metric.target}
        others = []
        for name in table.metrics():
            kind, _, place = name.partition("@")
            # What is known of few archs only says little of the others.
            if kind in kinds and chip(place) not in asked and table.frame[name].notna().mean() > 0.5:
                others.append(name)
        return cls(table, problem.space, problem.task, others, seed) if others else None

    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        values = np.array([self._values.get(arch.key, self._unknown) for arch in archs])
        values = values.reshape(len(archs), len(self.metrics))
        same = [name.startswith(f"{metric.kind.name}@") and name != metric.name for name in self.metrics]
        return values[:, same]


def chip(place: str) -> str:
    """A device without its batch size, as tables write it: ``1080ti`` of ``1080ti_32``; other places as they are."""
    name, _, size = place.rpartition("_")
    return name if size in ("1", "32", "256") else place
