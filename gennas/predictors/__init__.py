"""Predictors: metrics of decided and partly masked archs, with uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.metrics import kinds_known
from gennas.part_files import read_config
from gennas.registry import Registry

if TYPE_CHECKING:
    from gennas.predictors.base import Predictor


def _is_predictor(entry: object) -> bool:
    # torch takes a second to import, and names are listed without it.
    from gennas.predictors.base import Predictor

    return isinstance(entry, type) and issubclass(entry, Predictor)


PREDICTORS: Registry[type[Predictor]] = Registry(
    "predictor",
    {"gnn": "gennas.predictors.gnn:GNNPredictor", "mlp": "gennas.predictors.mlp:MLPPredictor"},
    group="gennas.predictors",
    expected="a subclass of gennas.Predictor",
    accepts=_is_predictor,
    how='gennas.predictors.PREDICTORS.get("path/to/file.py:MyPredictor")',
)


def load_predictor(checkpoint: Path) -> tuple[Predictor, dict[str, Any]]:
    """The predictor of a checkpoint folder, and its configuration, whose ``class`` names it in ``PREDICTORS``.

    Raises:
        DataMissingError: the checkpoint lacks a predictor, or a file of it is damaged.
        UnknownNameError: its class or its space is not registered; the message says how to make it known.
    """
    config = read_config(checkpoint, "predictor")
    kinds_known(config.get("metric_kinds"))
    # Checkpoints of gennas 0.2 name no class.
    return PREDICTORS.registered(config.get("class", "gnn")).load(checkpoint), config


__all__ = ["PREDICTORS", "load_predictor"]
