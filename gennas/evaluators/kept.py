"""The files of a trained network, which can be used without the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gennas.arch import Arch
from gennas.export.onnx import to_onnx
from gennas.files import write_bytes, write_json, write_parquet, write_safetensors
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape
from gennas.training.fitting import TrainedNetwork
from gennas.training.network_files import FACTS, MODEL, PREDICTIONS, WEIGHTS
from gennas.training.quality import predictions_frame
from gennas.training.recipe import Recipe


def keep(
    folder: Path,
    trained: TrainedNetwork,
    *,
    arch: Arch,
    space: Space,
    task: Task,
    recipe: Recipe,
    metrics: dict[str, float],
    initial_weights: Mapping[str, str] | None = None,
    inherited: Mapping[str, Any] | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Writes the files of a trained network: ``network.onnx`` last, which says that all are there.

    Args:
        folder: that of the network.
        trained: is left with contiguous weights.
        arch: of the network.
        space: that built it.
        task: that it was trained for.
        recipe: that it was trained with.
        metrics: that it reached.
        initial_weights: name and licence of those that the training started from, as
            :meth:`gennas.weights.WeightsFile.facts` says them; None for random ones.
        inherited: what it began with; None for random weights.
        chosen: the settings of the recipe that were searched with the arch; None where none were.
    """
    network = trained.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    # Gone first: killed half-way, new weights would count as kept beside the facts of the old ones.
    (folder / MODEL).unlink(missing_ok=True)
    write_safetensors(folder / WEIGHTS, network.state_dict())
    write_parquet(
        predictions_frame(trained.predictions, task.output_names),
        folder / PREDICTIONS,
        {"key": arch.key, "task": task.name},
    )
    facts = _facts(trained, arch, space, task, recipe, metrics, inherited)
    if initial_weights is not None:
        facts["initial_weights"] = dict(initial_weights)
    if chosen is not None:
        facts["recipe_chosen"] = dict(chosen)
    write_json(folder / FACTS, facts)
    write_bytes(folder / MODEL, to_onnx(network, image_shape(task, "training")))


def _facts(
    trained: TrainedNetwork,
    arch: Arch,
    space: Space,
    task: Task,
    recipe: Recipe,
    metrics: dict[str, float],
    inherited: Mapping[str, Any] | None,
) -> dict[str, Any]:
    from gennas import __version__

    normalise = trained.normalise
    return {
        "key": arch.key,
        "space": space.name,
        "skeleton": space.skeleton,
        "task": task.name,
        "num_classes": task.num_classes,
        "class_names": list(task.class_names),
        **({"targets": document} if (document := trained.targets.document()) else {}),
        "input_shape": list(task.input_shape),
        "preprocessing": {} if task.source is None else task.source.preprocessing(),
        "feed": "(pixels / 255 - mean) / std per channel",
        "mean": normalise.mean.flatten().tolist(),
        "std": normalise.std.flatten().tolist(),
        "rebuild": "space = gennas.get_space(space, skeleton as 'name=value,...'); network = "
        "space.build(space.parse(key), task); network.load_state_dict(safetensors.torch.load_file(...))",
        "recipe": {**asdict(recipe), **_folders(recipe)},
        **({} if inherited is None else {"inherited": dict(inherited)}),
        "recipe_hash": recipe.hash,
        "seed": recipe.seed,
        "epochs": len(trained.epochs),
        "seconds": trained.seconds,
        "metrics": metrics,
        "notes": list(trained.notes),
        "versions": {"gennas": __version__, "torch": torch.__version__},
    }


def _folders(recipe: Recipe) -> dict[str, str | None]:
    """The folders that a recipe names, as texts."""
    named = {"teacher": recipe.teacher, "inherit": recipe.inherit}
    return {name: None if folder is None else str(folder) for name, folder in named.items()}
