"""Priors: what is known of metrics before the first evaluation, as functions of archs that they resemble."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.metrics import Metric
from gennas.predictors.base import Predictor
from gennas.predictors.basis import BasisFunctions
from gennas.predictors.domain import Domain
from gennas.predictors.features import GraphFeatures
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.slot_features import SlotFeatures
from gennas.problem import Problem
from gennas.search.base import Policy
from gennas.spaces import JointSpace, Space
from gennas.tables import Table
from gennas.tasks import Task

#: Share that counts of the difference between an arch's accuracy and that of archs like it.
OWN_SHARE = 0.3
#: With five times as many they predict the same (correlation 0.998), and a search would wait for minutes.
TREES = 20


class Prior(ABC):
    """Functions of archs, each with mean 0 and std 1 over the space; a metric is expected to be like their mean."""

    @abstractmethod
    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        """``(N, D)`` the functions that a metric resembles, larger where the metric is larger; ``D`` may be 0.

        Args:
            archs: of the space.
            metric: with its target.
        """

    def score_of(self, metric: Metric, value: float) -> float | None:
        """What the mean of the functions is where a metric has this value in its unit; None where they do not tell."""
        return None


class PredictorPrior(Prior):
    """What a trained predictor predicts: the metric itself, or the same kind of metric at other targets.

    Args:
        predictor: of a checkpoint.
        space: of the archs.
        without: metrics whose predictions are not used, though the predictor may have them.
        elsewhere: metrics that were learnt from other networks: they rank archs, but their units are not these
            networks'.
        domains: metric -> the archs and networks that its labels are of, where these are not all; of others nothing is
            said.
    """

    def __init__(
        self,
        predictor: Predictor,
        space: Space,
        without: Sequence[str] = (),
        elsewhere: Collection[str] = (),
        domains: Mapping[str, Domain] | None = None,
    ) -> None:
        unknown = [name for name, domain in (domains or {}).items() if not domain.has_networks_of(space)]
        without, self.domains = [*without, *unknown], dict(domains or {})
        self.predictor, self.space = predictor, space
        self.without, self.elsewhere = frozenset(without), frozenset(elsewhere)
        self._functions: dict[str, BasisFunctions] = {}

    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        columns = self._columns(metric)
        if not columns:
            return np.empty((len(archs), 0))
        found: np.ndarray = self._functions_of(metric).of(archs)[:, columns]
        names = [self._names(metric)[column] for column in columns]
        known = [self.domains.get(name, Domain()).holds(self.space, archs) for name in names]
        # Their mean over the space is 0: what is said of an arch of which nothing is known.
        return np.where(np.column_stack(known), found, 0.0)

    def score_of(self, metric: Metric, value: float) -> float | None:
        """Of a latency that is predicted by its own name; accuracies on other data mean other values."""
        in_units = set(self._names(metric)) - self.without - self.elsewhere
        if metric.kind.name != "latency_ms" or value <= 0 or metric.name not in in_units:
            return None
        functions, (column, *_) = self._functions_of(metric), self._columns(metric)
        return (math.log(value) - float(functions.centre[column])) / float(functions.scale[column])

    def _names(self, metric: Metric) -> list[str]:
        """Metrics of the predictor of the same kind, of those kinds that there are functions of."""
        known = metric.kind.name in ("accuracy", "latency_ms")
        return [name for name in self.predictor.metrics if known and name.startswith(f"{metric.kind.name}@")]

    def _columns(self, metric: Metric) -> list[int]:
        """Of the functions, that of the metric itself, or where there is none those of others of its kind."""
        names = self._names(metric)
        own = [names.index(metric.name)] if metric.name in names and metric.name not in self.without else []
        return own or [column for column, name in enumerate(names) if name not in self.without]

    def _functions_of(self, metric: Metric) -> BasisFunctions:
        kind = metric.kind.name
        if kind not in self._functions:
            self._functions[kind] = BasisFunctions(self.predictor, self.space, kind)
        return self._functions[kind]


class TablePrior(Prior):
    """What a table holds of other tasks or devices.

    Functions are normal scores. Of an accuracy they are what trees on the graph's features predict, and a part of the
    arch's own difference from that: most of the rest is the noise of its training. The metric itself is never used.
    Each function is of the archs that have its metric, and 0, its mean, of others.

    Args:
        table: the table.
        space: of its archs.
        task: what the networks are for; the costs among the features are for its images.
        metrics: of the table, those that are used; none is constant.
        seed: of the trees.
    """

    def __init__(self, table: Table, space: Space, task: Task, metrics: Sequence[str], seed: int = 0) -> None:
        rows = table.columns(metrics).dropna(how="all")
        archs = [space.parse(str(key)) for key in rows.index]
        accuracies = [name for name in metrics if name.startswith("accuracy@")]
        features = np.empty((len(archs), 0))
        if accuracies:
            features = np.hstack([GraphFeatures(space).of(archs, task), SlotFeatures(space).of(archs).values])
        values = np.zeros((len(archs), len(metrics)))
        for at, name in enumerate(metrics):
            known = rows[name].notna().to_numpy()
            column = normal_scores(rows[name].to_numpy(float)[known])
            if name in accuracies:
                forest = ExtraTreesRegressor(TREES, max_features=0.3, min_samples_leaf=3, random_state=seed)
                smooth = forest.fit(features[known], column).predict(features[known])
                column = smooth + OWN_SHARE * (column - smooth)
            values[known, at] = (column - column.mean()) / column.std()
        self.metrics, self.space = tuple(metrics), space
        self._values = dict(zip((arch.key for arch in archs), values, strict=True))
        self._missing = np.zeros(len(metrics))

    @classmethod
    def of_others(cls, table: Table, problem: Problem, seed: int = 0) -> TablePrior | None:
        """What a table holds of a problem's accuracies and latencies at other targets; None where it holds none.

        Left out are the problem's own targets, and devices of the same chip.
        """
        kinds = {metric.kind.name for metric in problem.metrics if not metric.is_cost}
        own = {chip(metric.target) for metric in problem.metrics if metric.target}
        others = []
        for name in table.metrics():
            kind, _, target = name.partition("@")
            # What depends on the arch alone has no other targets.
            if not target or kind not in kinds or chip(target) in own:
                continue
            # Values of few archs say little of the others, and equal ones nothing.
            values = table.frame[name]
            if values.notna().mean() > 0.5 and values.nunique() > 1:
                others.append(name)
        return cls(table, problem.space, problem.task, others, seed) if others else None

    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        values = np.array([self._values.get(arch.key, self._missing) for arch in archs])
        values = values.reshape(len(archs), len(self.metrics))
        same = [name.startswith(f"{metric.kind.name}@") and name != metric.name for name in self.metrics]
        return values[:, same]


class NetworkPrior(Prior):
    """A prior of the archs of a joint space: what was chosen beside a network makes no difference.

    Args:
        prior: of the archs.
        space: the joint space.
    """

    def __init__(self, prior: Prior, space: JointSpace) -> None:
        self.prior, self.space = prior, space

    def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
        return self.prior.of([self.space.network_arch(arch) for arch in archs], metric)

    def score_of(self, metric: Metric, value: float) -> float | None:
        return self.prior.score_of(metric, value)


def chip(target: str) -> str:
    """A device without its batch size, as tables write it: ``1080ti`` of ``1080ti_32``; other targets as they are."""
    name, _, size = target.rpartition("_")
    return name if size in ("1", "32", "64", "256") else target


def resolve_prior(
    word: str,
    problem: Problem,
    *,
    table: Table | None = None,
    predictor: Predictor | None = None,
    elsewhere: Collection[str] = (),
    domains: Mapping[str, Domain] | None = None,
    seed: int = 0,
) -> Prior | None:
    """The prior that ``prior=known`` or ``prior=none`` means; None for none, or where nothing is known.

    Args:
        word: ``known`` or ``none``; ``others``, as benchmarks of gennas 0.2 wrote it, is ``known``.
        problem: what is searched.
        table: whose other tasks and devices are known. Where it is given, a predictor, which may have been trained on
            it, is not used.
        predictor: whose predictions are known where there is no table.
        elsewhere: metrics that the predictor learnt from other networks.
        domains: of the predictor's metrics; see :class:`PredictorPrior`.
        seed: of what is fitted to the table.

    Raises:
        InvalidInputError: another word.
    """
    if word not in ("known", "none", "others"):
        raise InvalidInputError(f"is {word!r}; must be 'known' or 'none'.", argument="prior")
    if word == "none":
        return None
    if table is not None:
        return TablePrior.of_others(table, problem, seed)
    if predictor is None:
        return None
    return PredictorPrior(predictor, problem.space, elsewhere=elsewhere, domains=domains)


def with_prior(policy: Policy, prior: Prior | None) -> Policy:
    """A policy that accepts a prior, a dataclass with the field ``prior``, with this one."""
    return replace(policy, prior=prior)  # type: ignore[type-var]
