"""Makes the meta-predictor of a checkpoint from the trained tiny tasks.

    python scripts/pretrain_meta.py --trained datasets/tiny-tasks/trained.parquet \\
        --encodings datasets/tiny-tasks/encodings.parquet --out checkpoints/nasbench201

Settings are chosen, one after another, by leaving out kinds of training tasks; stds are calibrated the same way. The
held-out tasks are not read. Encodings that the file lacks are made first, which takes some seconds for each task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from jsonargparse import auto_cli
from machine import machine
from meta_selection import LeftOut, left_out, std_scale_of, summary
from meta_tasks import RECIPE, SIZED, TinyTables

from gennas.predictors.meta.predictor import MetaPredictor, MetaSettings
from gennas.predictors.meta.stored import StoredMeta

#: Parts of an encoding that are tried alone and together, by how their names begin.
PARTS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "no probes": ("probe_",),
    "no views": ("view_",),
    "plain facts": ("view_", "probe_"),
}
#: What probe networks have to add to both taus together.
LEAST_GAIN = 0.04
RIDGES, TASKS, SCALES = (10.0, 30.0, 100.0, 300.0), (5.0, 20.0, 60.0), (0.7, 1.0, 1.5)

CARD = """# Accuracy on tasks never seen, forecast from their images

The meta-predictor of `nasbench201`: a task's encoding (some numbers from 20 images per class) gives the accuracies
that archs will have on it, as a normal distribution of their logits, which evaluations update. How it was chosen and
what it reaches on tasks of other kinds is in `docs/benchmarks/meta.md`.

* Learnt from {tasks} tiny tasks with {archs} (task, arch) pairs of {cells} cells: networks of {skeleton}, 3x16x16
  images, recipe `{recipe}`. Of other cells less is known, which their intervals say, but was not measured.
* Leaving out kinds of these tasks: Kendall's tau {tau:.2f} before any evaluation and {updated:.2f} after some; 90 %
  intervals have a mean width of {width:.2f} and hold {coverage:.0%} of the accuracies of single trainings; once three
  archs of its choice were trained on the task, {calibrated_width:.2f} and {calibrated_coverage:.0%}.
* Networks of another skeleton, image size or recipe have other accuracies: there it is for ranking.
* Weights are numbers of this model alone (MIT, as gennas). Image features are those of EfficientNet-Lite0, Apache-2.0,
  whose weights are not a part of it.

Made by `scripts/pretrain_meta.py` on {machine}.
"""


def main(trained: Path, encodings: Path, out: Path = Path("checkpoints/nasbench201")) -> None:
    """Chooses, fits, calibrates and writes.

    Args:
        trained: Parquet file of trainings.
        encodings: Parquet file of encodings; what it lacks is added.
        out: checkpoint folder, which gets the part ``meta``.
    """
    tables = TinyTables.read(trained, encodings, held_out=False)
    names = tables.names(held_out=False)
    every = tuple(next(iter(tables.facts.values())))
    settings, facts = chosen(tables, names, every)
    found = left_out(tables, names, facts, settings)
    scales = std_scale_of([one.errors for one in found]), std_scale_of([one.calibrated_errors for one in found])
    calibrated = left_out(tables, names, facts, settings, scales)
    print(f"stds times {scales[0]:.2f}, and {scales[1]:.2f} once calibrated: {text(calibrated)}")
    tasks = [tables.trained(name, facts) for name in names]
    meta = MetaPredictor.fit(tables.basis, facts, tasks, settings).with_std_scale(*scales)
    quality = summary(calibrated)
    cells = len({key for name in names for key in tables.accuracy[name].index})
    card = CARD.format(
        tasks=len(names),
        archs=sum(len(task.accuracy) for task in tasks),
        cells=cells,
        skeleton=", ".join(f"{name}={value}" for name, value in tables.basis.space.skeleton.items()),
        recipe=RECIPE,
        tau=quality["tau"],
        updated=quality["tau later"],
        width=quality["width"],
        coverage=quality["coverage"],
        calibrated_width=quality["calibrated width"],
        calibrated_coverage=quality["calibrated coverage"],
        machine=machine(),
    )
    stored = StoredMeta(
        meta, tables.basis.space.skeleton, SIZED.input_shape, RECIPE, {"cells": cells, "settings": asdict(settings)}
    )
    print(f"wrote {stored.save(out, quality, card)}")


def chosen(tables: TinyTables, names: Sequence[str], every: Sequence[str]) -> tuple[MetaSettings, tuple[str, ...]]:
    """The settings and facts with the best means over left-out tasks, one being chosen after another."""
    settings = MetaSettings()
    parts = {part: tuple(fact for fact in every if not fact.startswith(without)) for part, without in PARTS.items()}
    # Ranks, before and after evaluations, count alike.
    by_rank = {part: left_out(tables, names, facts, settings) for part, facts in parts.items()}
    part = best(by_rank, ("tau", "tau later"))
    gain = sum(summary(by_rank[part])[name] - summary(by_rank["no probes"])[name] for name in ("tau", "tau later"))
    # Probes take most of the time of an encoding.
    facts = parts[part if gain > LEAST_GAIN else "no probes"]
    for field, values in (("ridge", RIDGES), ("tasks", TASKS), ("scale", SCALES)):
        tried = {
            f"{field} {value:g}": replace(settings, priors=replace(settings.priors, **{field: value}))
            for value in values
        }
        settings = tried[best(_all(tables, names, facts, tried), ("tau", "tau later"))]
    strengths = (1.0, 3.0, *RIDGES)
    levels = {f"level ridge {value:g}": replace(settings, level_ridge=value) for value in strengths}
    settings = levels[best(_all(tables, names, facts, levels), ("level",), least=True)]
    scales = {f"scale ridge {value:g}": replace(settings, scale_ridge=value) for value in strengths}
    settings = scales[best(_all(tables, names, facts, scales), ("log scale",), least=True)]
    return settings, facts


def _all(
    tables: TinyTables, names: Sequence[str], facts: Sequence[str], tried: Mapping[str, MetaSettings]
) -> dict[str, list[LeftOut]]:
    return {what: left_out(tables, names, facts, settings) for what, settings in tried.items()}


def best(tried: Mapping[str, list[LeftOut]], by: Sequence[str], least: bool = False) -> str:
    """Prints a line for each; the one with the greatest, or least, sum of some numbers of :func:`summary`."""
    for what, found in tried.items():
        print(f"{what:>18}: {text(found)}", flush=True)
    sums = {what: sum(summary(found)[name] for name in by) for what, found in tried.items()}
    return (min if least else max)(sums, key=lambda what: sums[what])


def text(found: Sequence[LeftOut]) -> str:
    """A line of :func:`summary`."""
    return ", ".join(f"{name} {value:.3f}" for name, value in summary(found).items())


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
