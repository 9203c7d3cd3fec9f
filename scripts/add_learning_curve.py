"""Adds the learning curve to the card of a predictor that was trained before cards had one.

    GENNAS_DATA=... python scripts/add_learning_curve.py checkpoints/nasbench101

The weights stay as they are: the curve is that of the model for few labels, which needs no trained network.
"""

import json
from pathlib import Path

import torch
from jsonargparse import auto_cli

from gennas.files import write_json, write_text
from gennas.part_files import read_config
from gennas.predictors.labels import Labels
from gennas.predictors.learning_curve import learning_curve
from gennas.predictors.model_card import predictor_card
from gennas.predictors.training import sizing_task
from gennas.spaces import get_space
from gennas.tables import load_table


def main(checkpoint: Path, seeds: int = 10) -> None:
    """Computes the curve on the table that the predictor was trained on, and writes metrics and card anew."""
    torch.set_num_threads(1)
    config, folder = read_config(checkpoint, "predictor"), checkpoint / "predictor"
    space = get_space(config["space"])
    labels = Labels.of(space, load_table(config["table"]))
    metric = next(name for name in labels.metrics if name.startswith("accuracy@"))
    curve = learning_curve(space, labels, metric, sizing_task(labels.metrics), seeds=seeds)
    metrics = {**json.loads((folder / "metrics.json").read_text()), "few_labels": curve}
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "README.md", predictor_card(config, metrics))


if __name__ == "__main__":
    auto_cli(main)
