"""`gennas evaluate generator`: how good a generator is, and what guidance does to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.cli.checkpoints import checkpoint_and_space
from gennas.cli.output import Outcome, saving, stored_result
from gennas.commands import command
from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError

STRENGTHS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)


def evaluate_generator(
    checkpoint: str | None = None,
    space: str | None = None,
    draws: int = 10_000,
    task: str | None = None,
    strengths: Sequence[float] = STRENGTHS,
    out: Path | None = None,
    seed: int = 1,
) -> Outcome:
    """Measures a generator: validity, uniqueness, novelty, distances to its training archs, and guided quality.

    Of a space whose archs are drawn exactly, without training, it tests that they are drawn uniformly: every decision
    and every pair of decisions.

    Args:
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote; by default the one
            named as the space.
        space: a name of `gennas list spaces`, or path/to/file.py:Class or package.module:Class for one of your own.
        draws: unguided graphs to draw.
        task: the task whose accuracy guides the sampling; by default the first of the predictor.
        strengths: strengths of the guidance, one row of the guided curve each.
        out: JSON file for the result.
        seed: seed of all draws.
    """
    from gennas.checkpoint import generator_for, without_generator
    from gennas.diffusion.quality import unconditional_quality
    from gennas.diffusion.settings import GeneratorTraining
    from gennas.diffusion.training import training_archs
    from gennas.diffusion.uniformity import exact_quality
    from gennas.part_files import read_config
    from gennas.spaces import space_option

    if draws < 1:
        raise InvalidInputError(f"is {draws}; must be at least 1.", argument="draws")
    stored_result(out, "evaluate generator")
    source, the_space = checkpoint_and_space(checkpoint, space, "")
    named = checkpoint or (source.name if source else the_space.name)
    notes: list[str] = []
    if the_space.is_exact and (source is None or "generator" not in source.parts):
        generator = generator_for(the_space, None)
        unconditional = exact_quality(generator, draws, seed)
        notes.append("archs of this space are drawn exactly: no generator was trained.")
    elif source is None:
        raise DataMissingError(without_generator(the_space))
    else:
        generator, config = source.generator(), read_config(source.folder, "generator")
        trained_on, held_out = training_archs(generator.space, GeneratorTraining(**config["training"]), config["seed"])
        unconditional = unconditional_quality(generator, trained_on, held_out, draws, seed)
        if not len(held_out):
            notes.append(
                "novelty is not measured: the generator was trained on the whole space. Train one on a part of it: "
                + command("pretrain", "generator", space=space_option(generator.space))
                + " --training.held-out 0.5 --out FOLDER"
            )
    curve = []
    if source is not None and "predictor" in source.parts:
        curve = _guided(source.folder, generator, task, strengths, seed, notes)
    else:
        notes.append(f"no guided curve: checkpoint {named!r} has no predictor.")
    document: dict[str, Any] = {"checkpoint": named, "seed": seed, "unconditional": unconditional, "guided": curve}
    document["notes"] = notes
    flat = {name: value for name, value in unconditional.items() if name != "distances"}
    flat |= {f"distance of {name}": value for name, value in unconditional.get("distances", {}).items()}
    tables = {"unconditional": [{"measured": name, "value": value} for name, value in flat.items()], "guided": curve}
    following = command(
        "generate",
        checkpoint=checkpoint or (source and source.name),
        task=task or "digits",
        space=space_option(generator.space),
    )
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
