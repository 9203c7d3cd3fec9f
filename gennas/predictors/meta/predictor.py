"""MetaPredictor: forecasts the accuracy of archs on a task never seen, from the task's encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gennas.errors import InvalidInputError
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.forecast import TaskForecast, logit
from gennas.predictors.meta.hierarchy import Hierarchy, KnownTask, Priors

#: How far a number of an encoding may lie from its mean over the known tasks, in stds.
REACH = 2.5


@dataclass(frozen=True, eq=False)
class TrainedTask:
    """A task with the archs that were trained on it.

    Attributes:
        name: of the task.
        encoding: ``(f,)`` its facts, all zeros where it is not to be looked at.
        functions: ``(n, p)`` of the archs.
        accuracy: ``(n,)`` as fractions.
    """

    name: str
    encoding: np.ndarray
    functions: np.ndarray
    accuracy: np.ndarray

    @property
    def level(self) -> float:
        """Mean logit over the archs."""
        return float(logit(self.accuracy).mean())

    @property
    def scale(self) -> float:
        """Std of the logits over the archs."""
        return max(float(logit(self.accuracy).std()), 0.05)


@dataclass(frozen=True)
class MetaSettings:
    """How a meta-predictor is fitted; chosen by leaving out kinds of training tasks.

    Attributes:
        priors: of what tasks prefer.
        level_ridge: penalty on what an encoding says of a task's level, in tasks.
        scale_ridge: likewise of how much archs differ on it.
    """

    priors: Priors = field(default_factory=Priors)
    level_ridge: float = 3.0
    scale_ridge: float = 10.0


@dataclass(frozen=True, eq=False)
class Ridge:
    """Ridge regression of a number on encodings.

    Attributes:
        coefficients: ``(f + 1,)``, that of the constant first.
        std: of its errors on tasks that it was not fitted to.
    """

    coefficients: np.ndarray
    std: float

    @classmethod
    def fit(cls, encodings: np.ndarray, values: np.ndarray, ridge: float) -> Ridge:
        """Fits ``(t,)`` values at ``(t, f)`` encodings; errors are those of leaving one task out."""
        inputs = np.hstack([np.ones((len(encodings), 1)), encodings])
        precision = inputs.T @ inputs + np.diag([1e-6, *[ridge] * encodings.shape[1]])
        coefficients = np.linalg.solve(precision, inputs.T @ values)
        own = np.einsum("tf,fg,tg->t", inputs, np.linalg.inv(precision), inputs)
        errors = (values - inputs @ coefficients) / (1 - own).clip(0.05)
        return cls(coefficients, float(np.sqrt(np.mean(np.square(errors)))))

    def predict(self, encoding: np.ndarray) -> float:
        """The number at one encoding."""
        return float(self.coefficients @ np.concatenate([[1.0], encoding]))


@dataclass(frozen=True, eq=False)
class MetaPredictor:
    """Forecasts accuracies of archs on a task, from numbers that describe it.

    Logits of accuracies on a task are a level plus a scale times a function of the arch. Level and scale are regressed
    on the encoding; the function is that of a :class:`Hierarchy`, so that what known tasks disagree about is what
    evaluations on a new one are used to find out.

    Attributes:
        basis: functions of the arch.
        facts: names of the numbers of an encoding.
        centre: ``(f,)`` their means over the known tasks.
        spread: ``(f,)`` their stds.
        names: of the known tasks.
        hierarchy: what tasks prefer.
        level: how accurate archs are on a task.
        log_scale: how much they differ, as a logarithm.
        std_scale: factor on stds, calibrated on known tasks.
        updated_std_scale: the same, once some archs were evaluated on the task.
    """

    basis: ArchBasis
    facts: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    names: tuple[str, ...]
    hierarchy: Hierarchy
    level: Ridge
    log_scale: Ridge
    std_scale: float = 1.0
    updated_std_scale: float = 1.0

    @classmethod
    def fit(
        cls,
        basis: ArchBasis,
        facts: Sequence[str],
        tasks: Sequence[TrainedTask],
        settings: MetaSettings = MetaSettings(),
    ) -> MetaPredictor:
        """Learns from known tasks.

        Raises:
            InvalidInputError: fewer than two tasks.
        """
        if len(tasks) < 2:
            raise InvalidInputError(f"{len(tasks)} known tasks; a meta-predictor needs at least 2.")
        encodings = np.array([task.encoding for task in tasks]).reshape(len(tasks), len(facts))
        centre, spread = encodings.mean(axis=0), encodings.std(axis=0)
        standardised = standardise(encodings, centre, spread)
        known = [
            KnownTask(task.functions, (logit(task.accuracy) - task.level) / task.scale, z)
            for task, z in zip(tasks, standardised, strict=True)
        ]
        return cls(
            basis,
            tuple(facts),
            centre,
            spread,
            tuple(task.name for task in tasks),
            Hierarchy.fit(known, settings.priors),
            Ridge.fit(standardised, np.array([task.level for task in tasks]), settings.level_ridge),
            Ridge.fit(standardised, np.log([task.scale for task in tasks]), settings.scale_ridge),
        )

    def forecast(self, facts: Mapping[str, float] | None) -> TaskForecast:
        """The forecast for a task.

        Args:
            facts: its encoding; None for a task of which nothing is known.
        """
        z = self.encoded(facts)
        weights, covariance = self.hierarchy.prior(z)
        level, scale = self.level.predict(z), float(np.exp(self.log_scale.predict(z)))
        width = len(weights)
        mean, whole = np.concatenate([[level], scale * weights]), np.zeros((1 + width, 1 + width))
        whole[0, 0] = self.level.std**2
        # The scale is uncertain too: in proportion to what is forecast.
        whole[1:, 1:] = scale**2 * (covariance + self.log_scale.std**2 * np.outer(weights, weights))
        noise = scale * self.hierarchy.noise
        return TaskForecast(self.basis, mean, whole, noise, self.std_scale, self.updated_std_scale)

    def encoded(self, facts: Mapping[str, float] | None) -> np.ndarray:
        """``(f,)`` an encoding in stds from the mean of the known tasks'; zeros for none."""
        if facts is None:
            return np.zeros(len(self.facts))
        if lacking := [name for name in self.facts if name not in facts]:
            raise InvalidInputError(f"the encoding lacks {', '.join(lacking)}; encode the task with this version.")
        values = np.array([facts[name] for name in self.facts])
        return standardise(values, self.centre, self.spread)

    def with_std_scale(self, factor: float, updated: float) -> MetaPredictor:
        """The same with other factors on its stds, before and after archs were evaluated on a task."""
        return replace(self, std_scale=factor, updated_std_scale=updated)


def standardise(values: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Encodings in stds, within :data:`REACH`; numbers that all known tasks share are zeros."""
    scaled = (values - centre) / np.where(spread > 1e-9, spread, np.inf)
    found: np.ndarray = scaled.clip(-REACH, REACH)
    return found
