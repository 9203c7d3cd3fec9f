"""`gennas pretrain`: generators and predictors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from gennas.cli.output import Outcome
from gennas.commands import command
from gennas.diffusion.settings import GeneratorTraining
from gennas.errors import DataMissingError
from gennas.predictors.settings import PredictorTraining
from gennas.spaces import Space


def pretrain_generator(
    space: str = "nasbench201",
    out: Path | None = None,
    training: GeneratorTraining = GeneratorTraining(),  # noqa: B008 - frozen, and the command line reads it
    seed: int = 0,
) -> Outcome:
    """Trains a generator on the archs of a space, enumerated or sampled; needs no table.

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        out: checkpoint folder; by default checkpoints/SPACE under GENNAS_HOME.
        training: training settings.
        seed: seed of all randomness.
    """
    from gennas.diffusion.training import train_generator
    from gennas.spaces import get_space

    the_space = get_space(space)
    out = out or _own_checkpoint(the_space.name)
    train_generator(the_space, training, seed=seed, out=out)
    return _pretrained(out, "generator", the_space)


def pretrain_predictor(
    space: str | None = None,
    table: str = "nasbench201",
    out: Path | None = None,
    training: PredictorTraining = PredictorTraining(),  # noqa: B008 - frozen, and the command line reads it
    held_out_labels: int | None = None,
    curve_seeds: int | None = None,
    seed: int = 0,
) -> Outcome:
    """Trains a predictor of all metrics of a table, and a second one on few labels to measure how well it generalises.

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by default that of the
            table.
        table: a name of `gennas list tables`, or a CSV or Parquet file of your own; from fewer than 1,000 archs the
            predictor is trained in seconds.
        out: checkpoint folder; by default checkpoints/SPACE under GENNAS_HOME.
        training: training settings.
        held_out_labels: archs that the second predictor is trained on; it is tested on all others. By default 1,000, or
            three quarters of a smaller table.
        curve_seeds: draws of labels for every point of the learning curve in the model card; by default 10, or none of
            fewer than 1,000 archs.
        seed: seed of all randomness.
    """
    from gennas.predictors.training import train_predictor
    from gennas.spaces import get_space, registered_space
    from gennas.tables import load_table

    named = get_space(space) if space is not None else None
    the_table = load_table(table, named)
    the_space = named or registered_space(the_table.space)
    for what, kind in (("accuracies", "accuracy@"), ("values", "")):
        known = any(name.startswith(kind) for name in the_table.metrics())
        if not known and (lacking := [name for name in the_table.missing if name.startswith(kind)]):
            raise DataMissingError(f"table {table!r} has no {what} to train on: {the_table.missing[lacking[0]]}")
    out = out or _own_checkpoint(the_space.name)
    train_predictor(
        the_space, the_table, training, held_out_labels=held_out_labels, curve_seeds=curve_seeds, seed=seed, out=out
    )
    return _pretrained(out, "predictor", the_space)


def _own_checkpoint(name: str) -> Path:
    from gennas.paths import gennas_home

    return gennas_home() / "checkpoints" / name


def _pretrained(out: Path, part: Literal["generator", "predictor"], the_space: Space) -> Outcome:
    from gennas.part_files import PARTS, parts_of, pretrain_command
    from gennas.spaces import space_option

    folder = out / part
    metrics = json.loads((folder / "metrics.json").read_text())
    # A generator of uniform draws needs no training.
    missing = [name for name in PARTS if name not in parts_of(out) and (name == "predictor" or not the_space.is_exact)]
    following = command("generate", checkpoint=out, task="digits", space=space_option(the_space))
    # Another space than the default may have no table to train a predictor on; its generator is of use without.
    if missing and (space_option(the_space) is None or missing == ["generator"]):
        following = pretrain_command(missing[0], the_space, out)
    shown = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    held_out = metrics.get("held_out", {}).get("metrics", {})
    tables = {f"{part} at {folder}": [{"measured": name, "value": value} for name, value in shown.items()]}
    if held_out:
        tables["held-out quality"] = [{"metric": name, **values} for name, values in held_out.items()]
    return Outcome({"checkpoint": str(out), "part": part, "metrics": metrics}, tables, (), [folder], following)
