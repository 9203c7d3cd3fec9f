"""InheritedEvaluator: the accuracy of archs with weights of a supernet, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.metrics import Metric
from gennas.spaces import Space, name_in_files
from gennas.spaces.costs import all_costs
from gennas.supernets.correction import Correction, Scores, fit_correction
from gennas.supernets.recalibration import Recalibration
from gennas.supernets.start import expect_supernet
from gennas.supernets.stored import load_supernet, supernet_facts
from gennas.tasks import Task

#: In a supernet's folder.
CORRECTION = "correction.json"
# To be increased when a change of the code changes the values.
_VERSION = 1


class InheritedEvaluator(Evaluator):
    """The accuracy of an arch on the validation images with the weights that it inherits from a supernet.

    Batch norms get statistics of their own before: those of other paths are of no use. Where the folder has a
    correction (:func:`correct`), values are what fine-tuned networks are expected to have; without one they
    rank archs, and are lower than what training reaches.

    Args:
        space: of the archs, with the skeleton of the supernet.
        folder: of the supernet.
        corrects: whether a correction in the folder is used.

    Raises:
        DataMissingError: there is no supernet in the folder, or it is damaged.
        InvalidInputError: the supernet is of another space.
    """

    source = "inherited"

    def __init__(self, space: Space, folder: Path, *, corrects: bool = True) -> None:
        self.space, self.folder = space, Path(folder)
        expect_supernet(self.folder, space)
        self.fingerprint = str(supernet_facts(self.folder)["fingerprint"])
        path = self.folder / CORRECTION
        self.correction = Correction.load(path) if corrects and path.is_file() else None

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The accuracy on the task, where the search has a supernet."""
        name = f"accuracy@{context.problem.task.name}"
        if context.supernet is None or context.table is not None or all(metric.name != name for metric in wanted):
            return None
        context.problem.task.splits()
        return cls(context.problem.space, context.supernet)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the values, in sentences."""
        if self.correction is None:
            return (
                f"accuracies are those of weights inherited from {self.folder}, which rank archs and are lower than "
                "what training reaches; train the best: gennas validate.",
            )
        return (
            f"accuracies are what fine-tuned networks are expected to have, from weights inherited from {self.folder} "
            f"and {len(self.correction.check.true)} fine-tunings; the error of a left-out one is "
            f"{self.correction.check.error:.3f}.",
        )

    def expect_usable(self, task: Task) -> None:
        self._recalibration(task)

    def _recalibration(self, task: Task) -> Recalibration:
        # A worker process knows the user's own space by this object alone.
        name_in_files(self.space)
        return _loaded(self.folder, self.fingerprint, task)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def noise(self) -> Mapping[str, float]:
        """Of the corrected values, by leaving out fine-tunings; nobody knows it of others."""
        if self.correction is None:
            return {}
        return {f"accuracy@{supernet_facts(self.folder)['task']['name']}": self.correction.check.error}

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        """The supernet's weights, and the correction; the seed and the epochs of trainings do not matter."""
        parts = [f"v{_VERSION}", self.fingerprint]
        return EvaluationSettings(
            recipe="-".join([*parts, *([self.correction.fingerprint] if self.correction else [])])
        )

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """``accuracy@<task>`` on the validation images.

        Raises:
            DataMissingError: the task has no images, or the supernet is damaged.
            InvalidInputError: the supernet was adapted to another task.
        """
        score = self.score(arch, task)
        if self.correction is not None:
            score = float(self.corrected([arch], [score], task)[0][0])
        return {f"accuracy@{task.name}": score}

    def score(self, arch: Arch, task: Task) -> float:
        """The accuracy with inherited weights, whether there is a correction or not; see :meth:`evaluate`."""
        return self._recalibration(task)(arch).accuracy

    def corrected(self, archs: Sequence[Arch], scores: Sequence[float], task: Task) -> tuple[np.ndarray, np.ndarray]:
        """``(n,)`` mean and std of what fine-tuned networks are expected to have.

        Args:
            archs: of the space.
            scores: see :meth:`score`.
            task: of the supernet.

        Raises:
            InvalidInputError: the folder has no correction.
        """
        if self.correction is None:
            raise InvalidInputError(f"{self.folder} has no {CORRECTION}; fit one to a few fine-tunings first.")
        return self.correction.predict(scores_of(self.space, archs, scores, task))


def scores_of(space: Space, archs: Sequence[Arch], scores: Sequence[float], task: Task) -> Scores:
    """Scores of archs beside their costs, as corrections see them."""
    costs = [all_costs(space, arch, task) for arch in archs]
    params, macs = (np.array([cost[name] for cost in costs]) for name in ("params_m", "macs_m"))
    return Scores(np.asarray(scores, float), params, macs)


@dataclass(frozen=True)
class FineTuned:
    """An arch whose network was fine-tuned from a supernet.

    Attributes:
        arch: of the supernet's space.
        accuracy: on the validation images, a fraction.
    """

    arch: Arch
    accuracy: float


def correct(
    folder: Path, space: Space, task: Task, fine_tuned: Sequence[FineTuned], reference: Sequence[Arch] = ()
) -> Correction:
    """Fits a correction of a supernet's scores to a few fine-tunings, and stores it in the supernet's folder.

    Args:
        folder: of the supernet.
        space: of its archs.
        task: that it was adapted to.
        fine_tuned: at least four archs, which should be spread over the space.
        reference: more archs, which say what is usual; their scores are computed, too.

    Raises:
        InvalidInputError: too few fine-tunings, or all are equal.
    """
    evaluator = InheritedEvaluator(space, folder, corrects=False)

    def scored(archs: Sequence[Arch]) -> Scores:
        return scores_of(space, archs, [evaluator.score(arch, task) for arch in archs], task)

    archs = [one.arch for one in fine_tuned]
    usual = scored(reference) if reference else None
    found = fit_correction(scored(archs), [one.accuracy for one in fine_tuned], usual)
    found.save(folder / CORRECTION)
    return found


@lru_cache(maxsize=2)
def _loaded(folder: Path, fingerprint: str, task: Task) -> Recalibration:
    """The supernet, read once per process and state of its folder."""
    return Recalibration(load_supernet(folder, task), task)
