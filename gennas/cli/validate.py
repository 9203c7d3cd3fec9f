"""`gennas validate`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from gennas.cli.archs import read_archs
from gennas.cli.options import ArchOptions, NetworkOptions
from gennas.cli.output import Outcome, cell, named_in
from gennas.cli.parser import option_names, with_flags
from gennas.cli.report import page_at_end
from gennas.cli.typed import typed_command
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.training.recipe import Recipe, with_inherited


def validate(
    given: ArchOptions,
    network: NetworkOptions,
    task: str,
    out: Path,
    top: int | None = None,
    space: str = "nasbench201",
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen, and the command line reads it
    recipe_space: Path | None = None,
    latency: LatencySpec = LatencySpec(),  # noqa: B008 - frozen, and the command line reads it
    inherit: str | None = None,
    correct: bool = False,
    hardware: str = "cpu",
    seed: int = 0,
    seeds: int = 1,
    distinct: Literal["functions", "archs"] = "functions",
) -> Outcome:
    """Trains archs on a task with Lightning and measures their latency on this machine; the same command resumes.

    Args:
        task: digits, or a folder of images with a folder per class, or a CSV of files and labels.
        out: run folder: the study, and for every arch its trained weights and ONNX file.
        top: validate only the first so many archs.
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        recipe: how networks are trained.
        recipe_space: the YAML file of a search with recipes, whose keys name settings; each arch is trained by its own.
        latency: how latency on this machine is measured.
        inherit: what networks begin with: the folder of a supernet, a trained network, or a run with some, of which
            each arch takes the nearest one's; pretrained, the default of lite0 and its like; or random. recipe.inherit
            in Python.
        hardware: what of this machine to measure, e.g. "cpu, cpu-int8, cpu-torch, cpu-4threads, cuda".
        seed: seed of weights, order and augmentation; replaces recipe.seed.
        seeds: trainings of each arch, with this seed and those that follow it; accuracies are means with 95 %
            intervals then.
        distinct: functions evaluates one of the archs that compute the same; archs evaluates each.
    """
    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.search.settings import Measuring, Storage
    from gennas.spaces import space_option
    from gennas.studies.study import Study
    from gennas.training.recipe_space import joined_space
    from gennas.validation import validate_archs
    from gennas.validation.supernet import correct_supernet, predicted_by_supernet, supernet_folder

    if top is not None and top < 1:
        raise InvalidInputError(f"is {top}; must be at least 1.", argument="top")
    the_space = joined_space(space, network.skeleton, recipe_space)
    chosen = read_archs(the_space, given.key, given.archs)[:top]
    numbered = the_space.canonicalised([arch for arch, _ in chosen])
    predictions = {arch.key: predicted for arch, (_, predicted) in zip(numbered, chosen, strict=True)}
    problem = Problem(the_space, task, image_size=network.image_size, nested=network.nested, targets=network.targets)
    supernet = supernet_folder(inherit, expected=correct)
    forecast = {} if supernet is None else predicted_by_supernet(supernet, problem, [arch for arch, _ in chosen])
    for key, values in forecast.items():
        predictions[key] = {**values, **predictions[key]}
    with progress("validating", len(predictions) * seeds) as report:
        results = validate_archs(
            problem,
            [arch for arch, _ in chosen],
            study=Storage(out, command=typed_command()),
            measuring=Measuring(recipe=with_inherited(recipe, inherit), latency=latency),
            seed=seed,
            seeds=seeds,
            distinct=distinct,
            predicted={key: _intervals(values) for key, values in predictions.items()},
            hardware=[name.strip() for name in hardware.split(",")],
            report=report,
        )
    entries: list[dict[str, Any]] = [
        {
            "key": result.key,
            "measured": result.metrics,
            **({"seeds": dict(result.repeats), "intervals": intervals_of(result)} if result.repeats else {}),
            **({"predicted": predictions[result.key]} if predictions[result.key] else {}),
            **({"error": result.error} if result.error else {}),
            **({"same_as": result.same_as} if result.same_as else {}),
            **({"folder": str(result.folder)} if result.is_kept else {}),
            "reused": result.reused,
            "seconds": result.seconds,
        }
        for result in results
    ]
    failures = [result for result in results if result.error is not None]
    corrected = correct_supernet(supernet, problem, results) if supernet is not None and correct else ()
    failed = [f"{result.key} failed: {result.error}" for result in failures]
    kept = [result for result in results if result.is_kept]
    score, least = f"{problem.task.targets.score}@{problem.task.name}", -math.inf
    best = max(kept, key=lambda result: result.metrics.get(score, least), default=None)
    ranked = sorted(entries, key=lambda entry: -entry["measured"].get(score, least))
    return Outcome(
        {
            "archs": entries,
            "study": str(out),
            "notes": [with_flags(note, option_names(validate)) for note in (*results.notes, *corrected, *failed)],
        },
        {f"measured on {problem.task.name}": _comparison(ranked)},
        [*results.notes, *corrected, *failed],
        [
            named_in(out, Study(out).location),
            *dict.fromkeys(result.folder for result in kept),
            *page_at_end(out, task=problem.task, named=task),
        ],
        command("export", study=out, task=task, nested=network.nested, space=space_option(the_space)) if best else "",
        failed=len(failures) == len(results),
    )


def _intervals(predicted: dict[str, Any]) -> dict[str, Any]:
    """Predictions of a file as the study remembers them; those of a metric without a value are left out."""
    from gennas.search.base import PredictedValue

    found = {}
    for name, value in predicted.items():
        if isinstance(value, dict) and "median" in value:
            found[name] = PredictedValue(value["median"], value["low"], value["high"])
        elif isinstance(value, dict) and value.get("mean") is not None:
            found[name] = PredictedValue.normal(value["mean"], value["std"])
    return found


# Not typed as Validated: jsonargparse imports what is imported for types only, and torch with it.
def intervals_of(result: Any) -> dict[str, dict[str, Any]]:
    """Metric -> mean over the seeds, half the width of its interval, number of seeds, and all this as a text."""
    return {name: {**asdict(interval), "text": str(interval)} for name, interval in result.intervals.items()}


def _comparison(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per arch: every measured metric, beside what was predicted for it."""
    rows = []
    for entry in entries:
        row = {"key": entry["key"]}
        for name, value in entry["measured"].items():
            interval = entry.get("intervals", {}).get(name)
            predicted = entry.get("predicted", {}).get(name)
            if isinstance(predicted, dict):
                row[f"{name} predicted"] = cell(predicted)
            row[name] = cell(value) if interval is None else interval["text"]
        rows.append(row)
    return rows
