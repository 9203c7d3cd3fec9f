"""What a supernet says of archs before they are trained, and what trainings say of the supernet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.inherited import CORRECTION, FineTuned, InheritedEvaluator, correct
from gennas.problem import Problem
from gennas.supernets.correction import FEWEST
from gennas.supernets.stored import holds_supernet
from gennas.validation.entries import Validation


def supernet_folder(inherit: str | Path | None, *, expected: bool = False) -> Path | None:
    """The folder that networks begin with, if a supernet is in it.

    Args:
        inherit: as of :class:`gennas.training.recipe.Recipe`.
        expected: whether there must be one.

    Raises:
        InvalidInputError: a supernet is expected, and there is none.
    """
    folder = None if inherit is None else Path(inherit)
    if folder is not None and holds_supernet(folder):
        return folder
    if expected:
        what = "it is not given" if folder is None else f"{folder} has none"
        raise InvalidInputError(f"needs the folder of a supernet in `inherit`, but {what}.", argument="correct")
    return None


def predicted_by_supernet(folder: Path, problem: Problem, archs: Sequence[Arch]) -> dict[str, dict[str, Any]]:
    """Key -> metric -> mean and std of the accuracy that fine-tuned networks are expected to have.

    Empty where the supernet has no correction: inherited accuracies alone are no prediction of trained ones.

    Args:
        folder: of the supernet.
        problem: its task has the images.
        archs: of its space.

    Raises:
        InvalidInputError: the supernet is of another space or task.
    """
    evaluator, task = InheritedEvaluator(problem.space, folder), problem.task
    if evaluator.correction is None:
        return {}
    given = problem.space.canonicalised(list(archs))
    mean, std = evaluator.corrected(given, [evaluator.score(arch, task) for arch in given], task)
    return {
        arch.key: {f"accuracy@{task.name}": {"mean": float(mean[row]), "std": float(std[row])}}
        for row, arch in enumerate(given)
    }


def correct_supernet(folder: Path, problem: Problem, results: Validation) -> tuple[str, ...]:
    """Fits the correction of a supernet to trained archs; what came of it, in sentences.

    Args:
        folder: of the supernet.
        problem: its task has the images.
        results: of archs whose networks began with the supernet.
    """
    name = f"accuracy@{problem.task.name}"
    trained = [
        FineTuned(entry.arch, entry.metrics[name]) for entry in results if entry.error is None and not entry.same_as
    ]
    if len({one.accuracy for one in trained}) < 2 or len(trained) < FEWEST:
        return (
            f"{len(trained)} archs were trained, and a correction of {folder} needs at least {FEWEST} with different "
            "accuracies; none was fitted.",
        )
    check = correct(folder, problem.space, problem.task, trained).check
    return (
        f"wrote {folder / CORRECTION}, from {len(trained)} trainings: a left-out accuracy is predicted with an error "
        f"of {check.error:.3f}, rank correlation {check.tau:.2f}.",
    )
