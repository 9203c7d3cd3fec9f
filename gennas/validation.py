"""Validation: training given archs on a task, measuring their latency, and remembering both in a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gennas.arch import Arch
from gennas.errors import GennasError, InvalidArchError, InvalidInputError
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import time_onnx
from gennas.evaluators.train import TrainEvaluator, logged
from gennas.export.onnx import to_onnx
from gennas.spaces import Space
from gennas.studies.records import evaluations_of
from gennas.studies.study import Study
from gennas.tasks import Task
from gennas.tasks.base import image_shape
from gennas.tasks.folder import ImageFolder
from gennas.training.recipe import Recipe

_LATENCY = "latency_ms@cpu"


@dataclass(frozen=True)
class ValidationResult:
    """What is now known of one arch.

    Attributes:
        key: the arch's native notation.
        metrics: ``accuracy@<task>`` on the validation images, ``test_accuracy@<task>`` where the task has test
            images (both fractions), ``latency_ms@cpu``, ``params_m`` and ``macs_m``; without the accuracies and
            the latency where the training failed.
        folder: of ``network.safetensors``, ``network.onnx`` and ``arch.json``.
        reused: the study knew everything already.
        seconds: that the training took, whenever that was; 0 where it failed.
        error: why the training failed; None where it did not.
    """

    key: str
    metrics: dict[str, float]
    folder: Path
    reused: bool
    seconds: float
    error: str | None = None


def validate(
    archs: Sequence[Arch],
    *,
    space: Space,
    task: Task,
    out: Path,
    recipe: Recipe | None = None,
    latency: LatencySpec | None = None,
    progress: Callable[[str], None] = logged,
) -> list[ValidationResult]:
    """Trains archs on a task and measures their latency here, one after the other.

    What the study at ``out`` knows is reused; a training that was killed goes on after its last finished epoch,
    to the same result. A training that fails is reported in its result and does not stop the others.

    Args:
        archs: of ``space``; repeated ones are validated once.
        space: builds the networks.
        task: with images.
        out: folder of the study; made if it does not exist. More archs may be added to it later.
        recipe: how to train; None for the default.
        latency: how to measure; None for the default.
        progress: receives lines of plain text.

    Returns:
        One result per distinct arch, in the order given.

    Raises:
        InvalidInputError: no archs, or images that cannot be used.
        InvalidArchError: an arch of another space.
        DataMissingError: the task comes without images.
        StudyError: ``out`` belongs to other settings or something else, or another process is writing to it.
    """
    distinct = list({arch.key: arch for arch in archs}.values())
    if not distinct:
        raise InvalidInputError("no archs to validate; give at least one key.")
    for arch in distinct:
        if arch.space != space.name:
            raise InvalidArchError(f"arch {arch.key!r} is of space {arch.space!r}; expected {space.name!r}.")
    recipe, latency = recipe or Recipe(), latency or LatencySpec()
    for note in (*task.notes, *task.splits().notes):
        progress(f"{task.name}: {note}")
    results = []
    with Study.open(out, _config(space, task, recipe, latency)) as study:
        trainer = TrainEvaluator(space, recipe, out / "networks", progress)
        for number, arch in enumerate(distinct, start=1):
            progress(f"arch {number}/{len(distinct)}: {arch.key}")
            results.append(_validate_one(arch, study, trainer, task, latency))
            progress(f"  {_summary(results[-1])}")
    return results


def _validate_one(
    arch: Arch, study: Study, trainer: TrainEvaluator, task: Task, latency: LatencySpec
) -> ValidationResult:
    folder, recipe = trainer.network_folder(arch), trainer.recipe
    known = {row.metric for row in study.find(arch=arch.key)}
    costs = trainer.space.costs(arch, task)
    trained = f"accuracy@{task.name}" in known and (folder / "network.onnx").is_file()
    reused = trained and _LATENCY in known
    if not trained:
        try:
            training = trainer.train(arch, task=task, seed=recipe.seed)
        except (GennasError, RuntimeError, MemoryError) as error:
            # torch reports too little memory, and layers that do not fit together, as RuntimeError; the next
            # arch may well be smaller.
            return ValidationResult(arch.key, costs, folder, False, 0.0, str(error) or type(error).__name__)
        computed = evaluations_of(CostEvaluator(trainer.space), arch, task, costs)
        trained_rows = evaluations_of(trainer, arch, task, training.metrics, seed=recipe.seed, seconds=training.seconds)
        study.add([*computed, *trained_rows])
    # Only now: a training whose values are not stored yet must find its checkpoint again.
    trainer.forget_progress(arch)
    if _LATENCY not in known:
        timing = time_onnx(_document(arch, trainer.space, task, folder, latency.batch), latency)
        measuring = LatencyEvaluator(trainer.space, latency)
        study.add(evaluations_of(measuring, arch, task, {_LATENCY: timing.median_ms}))
    stored = study.find(arch=arch.key)
    seconds = next(row.seconds for row in stored if row.source == trainer.source)
    return ValidationResult(arch.key, {row.metric: row.value for row in stored}, folder, reused, seconds)


def _document(arch: Arch, space: Space, task: Task, folder: Path, batch: int) -> bytes:
    """The trained network as ONNX for that many images per run."""
    if batch == 1:
        return (folder / "network.onnx").read_bytes()
    from safetensors.torch import load_file

    network = space.build(arch, task)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    return to_onnx(network, image_shape(task, "measuring latency"), batch)


def _config(space: Space, task: Task, recipe: Recipe, latency: LatencySpec) -> dict[str, Any]:
    """The settings that all rows share; the archs are not among them, so that more can be added."""
    facts: dict[str, Any] = {
        "name": task.name,
        "input_shape": list(task.input_shape),
        "images": task.splits().fingerprint,
    }
    if isinstance(task.source, ImageFolder):
        facts["path"] = str(task.source.path)
    return {
        "space": {"name": space.name, "skeleton": space.skeleton},
        "task": facts,
        "recipe": asdict(recipe),
        "latency": asdict(latency),
    }


def _summary(result: ValidationResult) -> str:
    if result.error is not None:
        return f"failed: {result.error}"
    values = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    return f"{values}, trained in {result.seconds:.0f} s{' (reused)' if result.reused else ''}"
