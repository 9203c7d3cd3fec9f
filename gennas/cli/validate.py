"""`gennas validate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gennas.cli.archs import read_archs
from gennas.cli.output import Outcome, cell
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.training.recipe import Recipe


def validate(
    task: str,
    out: Path,
    key: Sequence[str] = (),
    archs: str | None = None,
    top: int | None = None,
    space: str = "nasbench201",
    skeleton: str = "",
    image_size: int | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen, and the command line reads it
    latency: LatencySpec = LatencySpec(),  # noqa: B008 - frozen, and the command line reads it
    seed: int = 0,
) -> Outcome:
    """Trains archs on a task with Lightning and measures their latency on this machine; repeat it to go on.

    Args:
        task: digits, or a folder with train/<class>/*.png (or jpg) and optionally val/ and test/.
        out: run folder: the study, and for every arch its trained weights and ONNX file.
        archs: a file with one key a line, or one that `gennas generate --out` wrote; - is standard input.
        top: validate only the first so many of them.
        space: a name of `gennas list spaces`, or package.module:Class.
        skeleton: settings of the network around what is searched, e.g. "channels=16,cells=3".
        image_size: side to which images are resized.
        recipe: how to train.
        latency: how latency on this machine is measured.
        seed: of weights, order and augmentation; replaces recipe.seed.
    """
    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.search.settings import Measuring
    from gennas.spaces import get_space
    from gennas.validation import validate_archs

    if top is not None and top < 1:
        raise InvalidInputError(f"--top is {top}; expected at least 1 architecture.")
    the_space = get_space(space, skeleton)
    chosen = read_archs(the_space, key, archs)[:top]
    problem = Problem(the_space, task, image_size=image_size)
    with progress("validating", len(chosen)) as report:
        results = validate_archs(
            problem,
            [arch for arch, _ in chosen],
            study=out,
            measuring=Measuring(recipe=recipe, latency=latency),
            seed=seed,
            report=report,
        )
    numbered = the_space.canonicalised([arch for arch, _ in chosen])
    predictions = {arch.key: predicted for arch, (_, predicted) in zip(numbered, chosen, strict=True)}
    entries = [
        {
            "key": result.key,
            "measured": result.metrics,
            **({"predicted": predictions[result.key]} if predictions[result.key] else {}),
            **({"error": result.error} if result.error else {}),
            "folder": str(result.folder),
            "reused": result.reused,
            "seconds": result.seconds,
        }
        for result in results
    ]
    failed = sum(result.error is not None for result in results)
    notes = [
        *results.notes,
        *([f"{failed} of {len(results)} trainings failed; see above."] if failed else []),
    ]
    return Outcome(
        {"archs": entries, "study": str(out), "notes": notes},
        {f"measured on {problem.task.name}": _comparison(entries)},
        notes,
        [out / "study.sqlite", *(result.folder for result in results)],
        f"gennas export '{results[0].key}' --draw --out {out}"
        + ("" if the_space.name == "nasbench201" else f" --space {space}"),
    )


def _comparison(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per arch: every measured metric, beside what was predicted for it."""
    rows = []
    for entry in entries:
        row = {"key": entry["key"]}
        for name, value in entry["measured"].items():
            predicted = entry.get("predicted", {}).get(name)
            if isinstance(predicted, dict):
                row[f"{name} predicted"] = cell(predicted)
            row[name] = cell(value)
        rows.append(row)
    return rows
