"""A meta-predictor on disk: the part ``meta`` of a checkpoint, beside the predictor of its space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gennas.documents import read_json
from gennas.errors import DataMissingError, reason_of
from gennas.files import write_json, write_safetensors, write_text
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.hierarchy import Hierarchy
from gennas.predictors.meta.predictor import MetaPredictor, Ridge
from gennas.spaces import registered_space
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import Task

#: Folder of the part in a checkpoint, and the version of its files.
FOLDER, FORMAT = "meta", 2


@dataclass(frozen=True, eq=False)
class StoredMeta:
    """A meta-predictor with what it was learnt from.

    Attributes:
        meta: the predictor.
        skeleton: settings of the networks that were trained.
        input_shape: ``(channels, height, width)`` of their images.
        recipe: name of the recipe that they were trained with.
        facts: what else ``config.json`` says of the training.
    """

    meta: MetaPredictor
    skeleton: Mapping[str, int]
    input_shape: tuple[int, ...]
    recipe: str
    facts: Mapping[str, Any]

    def save(self, checkpoint: Path, quality: Mapping[str, Any], card: str) -> Path:
        """Writes the part; ``config.json`` comes last, so that it is either whole or not there."""
        folder, meta = checkpoint / FOLDER, self.meta
        (folder / "config.json").unlink(missing_ok=True)
        write_safetensors(folder / "model.safetensors", _tensors(meta))
        write_json(folder / "metrics.json", quality)
        write_text(folder / "README.md", card)
        config = {
            "format": FORMAT,
            "space": meta.basis.space.name,
            "skeleton": dict(self.skeleton),
            "input_shape": list(self.input_shape),
            "classes": meta.basis.task.num_classes,
            "recipe": self.recipe,
            "facts": list(meta.facts),
            "tasks": list(meta.names),
            "level_std": meta.level.std,
            "log_scale_std": meta.log_scale.std,
            "noise": meta.hierarchy.noise,
            "std_scale": meta.std_scale,
            "updated_std_scale": meta.updated_std_scale,
            **self.facts,
        }
        write_json(folder / "config.json", config)
        return folder

    @classmethod
    def find(cls, checkpoint: Path) -> StoredMeta | None:
        """The part of a checkpoint; None where it has none.

        Raises:
            DataMissingError: a file of it is damaged, or another version of gennas made it.
        """
        folder = checkpoint / FOLDER
        if not (folder / "config.json").is_file():
            return None
        try:
            config = read_json(folder / "config.json")
            if (made := config["format"]) != FORMAT:
                raise DataMissingError(
                    f"the meta-predictor in {folder} has format {made!r}, not {FORMAT}: another version of gennas made "
                    "it. Make it again with scripts/pretrain_meta.py."
                )
            tensors = load_file(folder / "model.safetensors")
            if any(not bool(values.isfinite().all()) for values in tensors.values()):
                raise ValueError("it holds values that are not finite")
            return cls(
                _restored(config, tensors),
                config["skeleton"],
                tuple(config["input_shape"]),
                config["recipe"],
                {"cells": config.get("cells", 0), "settings": config.get("settings", {})},
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataMissingError(
                f"the meta-predictor in {folder} is damaged: {reason_of(error)}. Reinstall gennas, or make it again "
                "with scripts/pretrain_meta.py."
            ) from error


def _tensors(meta: MetaPredictor) -> dict[str, Tensor]:
    arrays = {
        "centre": meta.centre,
        "spread": meta.spread,
        "hierarchy.coefficients": meta.hierarchy.coefficients,
        "hierarchy.covariance": meta.hierarchy.covariance,
        "hierarchy.precision": meta.hierarchy.precision,
        "hierarchy.weights": meta.hierarchy.weights,
        "level.coefficients": meta.level.coefficients,
        "log_scale.coefficients": meta.log_scale.coefficients,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return meta.basis.tensors() | tensors


def _restored(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> MetaPredictor:
    space = registered_space(config["space"]).with_skeleton(skeleton_text(config["skeleton"]))
    task = Task("sized", tuple(config["input_shape"]), config["classes"])
    arrays = {name: values.numpy() for name, values in tensors.items()}
    ridges = {
        name: Ridge(arrays[f"{name}.coefficients"], float(config[f"{name}_std"])) for name in ("level", "log_scale")
    }
    return MetaPredictor(
        ArchBasis.of_tensors(space, task, tensors),
        tuple(config["facts"]),
        arrays["centre"],
        arrays["spread"],
        tuple(config["tasks"]),
        Hierarchy(
            arrays["hierarchy.coefficients"],
            arrays["hierarchy.covariance"],
            arrays["hierarchy.precision"],
            arrays["hierarchy.weights"],
            float(config["noise"]),
        ),
        **ridges,
        std_scale=float(config["std_scale"]),
        updated_std_scale=float(config["updated_std_scale"]),
    )
