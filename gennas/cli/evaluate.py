"""`gennas evaluate generator`: how good a generator is, and what guidance does to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.cli.checkpoints import checkpoint_of
from gennas.cli.output import Outcome, saving, stored_result
from gennas.commands import command
from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError

STRENGTHS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)


def evaluate_generator(
    checkpoint: str = "nasbench201",
    space: str | None = None,
    draws: int = 10_000,
    task: str | None = None,
    strengths: Sequence[float] = STRENGTHS,
    out: Path | None = None,
    seed: int = 1,
) -> Outcome:
    """Measures a generator: validity, uniqueness, novelty, distances to its training archs, and guided quality.

    Args:
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote.
        space: for a checkpoint of a space of your own: path/to/file.py:Class or package.module:Class.
        draws: unguided graphs to draw.
        task: the task whose accuracy guides the sampling; by default the first of the predictor.
        strengths: strengths of the guidance, one row of the guided curve each.
        out: JSON file for the result.
        seed: seed of all draws.
    """
    from gennas.diffusion.generator import load_generator
    from gennas.diffusion.quality import unconditional_quality
    from gennas.diffusion.settings import GeneratorTraining
    from gennas.diffusion.training import training_archs
    from gennas.part_files import parts_of, read_config
    from gennas.spaces import space_option

    if draws < 1:
        raise InvalidInputError(f"is {draws}; must be at least 1.", argument="draws")
    stored_result(out, "evaluate generator")
    folder = checkpoint_of(checkpoint, space).folder
    generator, config = load_generator(folder), read_config(folder, "generator")
    trained_on, held_out = training_archs(generator.space, GeneratorTraining(**config["training"]), config["seed"])
    unconditional = unconditional_quality(generator, trained_on, held_out, draws, seed)
    notes, curve = [], []
    if not len(held_out):
        notes.append(
            "novelty is not measured: the generator was trained on the whole space. Train one on a part of it: "
            + command("pretrain", "generator", space=space_option(generator.space))
            + " --training.held-out 0.5 --out FOLDER"
        )
    if "predictor" in parts_of(folder):
        curve = _guided(folder, generator, task, strengths, seed, notes)
    else:
        notes.append(f"no guided curve: checkpoint {checkpoint!r} has no predictor.")
    document: dict[str, Any] = {"checkpoint": checkpoint, "seed": seed, "unconditional": unconditional, "guided": curve}
    document["notes"] = notes
    flat = {name: value for name, value in unconditional.items() if name != "distances"}
    flat |= {f"distance of {name}": value for name, value in unconditional["distances"].items()}
    tables = {"unconditional": [{"measured": name, "value": value} for name, value in flat.items()], "guided": curve}
    following = command("generate", checkpoint=checkpoint, task=task or "digits", space=space_option(generator.space))
    shown, saves = {k: v for k, v in tables.items() if v}, saving(out, "evaluate generator", document)
    return Outcome(document, shown, notes, next=following, saves=saves)


def _guided(
    folder: Path, generator: Any, task: str | None, strengths: Sequence[float], seed: int, notes: list[str]
) -> list[dict[str, Any]]:
    from gennas.diffusion.guides.predicted import ScoreSource
    from gennas.diffusion.quality import guided_quality
    from gennas.errors import unknown
    from gennas.metrics import Metric
    from gennas.predictors import load_predictor
    from gennas.tables import load_table

    predictor, config = load_predictor(folder)
    tasks = predictor.targets("accuracy")
    if not tasks:
        notes.append("no guided sampling: the predictor predicts no accuracy.")
        return []
    if task is not None and task not in tasks:
        raise unknown("task of this predictor", task, tasks)
    metric = Metric.parse(f"accuracy@{task or tasks[0]}")
    try:
        truth = load_table(config.get("table_file", config["table"])).column(metric.name).dropna().to_dict()
    except (DataMissingError, InvalidInputError, UnknownNameError) as error:
        truth = {}
        notes.append(f"no true percentiles: {error}")
    source = ScoreSource(predictor, {metric.name: [metric.name]})
    return guided_quality(generator, source, metric, strengths, {str(k): v for k, v in truth.items()}, seed=seed)
