"""The methods that scripts/bench_meta.py compares, all fitted to the same training tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from meta_tasks import TinyTables
from scipy.stats import rankdata

from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.meta.hierarchy import Priors
from gennas.predictors.meta.predictor import MetaPredictor, MetaSettings
from gennas.predictors.meta.stored import StoredMeta

#: Name -> what it is.
METHODS = {
    "encoder": "(a) what the encoder forecasts, evaluations unused",
    "zeros": "(b) the same with an encoding of zeros, evaluations unused",
    "mean rank": "(c) mean rank over the training tasks, each smoothed over archs",
    "arch kernel": "(d) a Gaussian process of the archs alone",
    "task kernel": "(e) the hierarchy with an encoding of zeros, updated by evaluations",
    "encoder, task kernel": "(f) the hierarchy with the task's encoding, updated by evaluations",
}


@dataclass(frozen=True, eq=False)
class Methods:
    """Scores of archs by every method.

    Attributes:
        tables: of trainings.
        meta: the meta-predictor.
        blind: one that was fitted with encodings of zeros.
    """

    tables: TinyTables
    meta: MetaPredictor
    blind: MetaPredictor

    @classmethod
    def fit(cls, tables: TinyTables, stored: StoredMeta, known: Sequence[str]) -> Methods:
        """Fits what needs fitting to known tasks; settings, facts and the factor on stds are the checkpoint's."""
        document = dict(stored.facts["settings"])
        settings = MetaSettings(**{**document, "priors": Priors(**document["priors"])})
        facts = stored.meta.facts
        meta = MetaPredictor.fit(tables.basis, facts, [tables.trained(name, facts) for name in known], settings)
        blind = MetaPredictor.fit(tables.basis, (), [tables.trained(name, ()) for name in known], settings)
        return cls(tables, meta.with_std_scale(stored.meta.std_scale, stored.meta.updated_std_scale), blind)

    def forecast(self, name: str) -> TaskForecast:
        """What the meta-predictor forecasts of a task."""
        return self.meta.forecast(self.tables.facts[name])

    def scores(
        self, method: str, name: str, functions: np.ndarray, few: np.ndarray, accuracy: np.ndarray
    ) -> np.ndarray:
        """``(N,)`` the higher, the better is an arch said to be.

        Args:
            method: one of :data:`METHODS`.
            name: of the task.
            functions: ``(N, p)`` of its archs.
            few: ``(k,)`` rows of those that were evaluated.
            accuracy: ``(k,)`` theirs.
        """
        if method == "mean rank":
            ranks = [rankdata(functions @ weights) for weights in self.blind.hierarchy.weights]
            return np.asarray(np.mean(ranks, axis=0))
        forecast = self.forecast(name) if "encoder" in method else self.blind.forecast(None)
        if method == "arch kernel":
            width = functions.shape[1]
            covariance = np.diag([forecast.covariance[0, 0], *[np.trace(forecast.covariance[1:, 1:]) / width] * width])
            forecast = replace(forecast, mean=np.array([forecast.mean[0], *[0.0] * width]), covariance=covariance)
        if method not in ("encoder", "zeros"):
            forecast = forecast.updated_at(functions[few], accuracy)
        return forecast.logits_at(functions)[0]
