"""Whether networks reach what was forecast of them on folders of images that gennas has never seen.

    python scripts/bench_forecast.py run --out runs/forecast
    python scripts/bench_forecast.py page --out runs/forecast --page docs/benchmarks/forecast.md

Twenty folders with three classes of 60 images each, drawn by the programs of the held-out tiny tasks, two of each kind;
further 1,000 images are there for testing. Of each folder accuracies are forecast as `gennas predict` does it, from the
images alone and after the trainings of `--calibrate`; random archs are trained then, and nothing was chosen by them.
Everything that is finished is kept; repeating the command goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from meta_page import interval_text
from meta_tasks import RECIPE, SIZED, SKELETON, tiny_space
from PIL import Image

from gennas.collecting.plan import random_archs
from gennas.evaluators.task_calibration import calibrated
from gennas.files import write_text
from gennas.predictors.meta.applied import AccuracyForecast, accuracy_forecast
from gennas.spaces import Space
from gennas.tasks import get_task
from gennas.tasks.tiny import HELD_OUT_TASKS, TINY_TASKS, TinyTask
from gennas.tasks.tiny.source import TinyImages
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, train_stack

CLASSES, TRAIN, TEST, ARCHS = 3, 60, 334, 5
HEAD = """# Forecasts for folders never seen

Written by `scripts/bench_forecast.py`; do not edit.

{tasks} folders with three classes of 60 images each, drawn by the programs of the held-out tiny tasks, of whose kinds
the shipped meta-predictor knows nothing. Accuracies of `nasbench201` (`{skeleton}`, 3x16x16 images, recipe `tiny`) are
forecast with 90 % intervals; {archs} random archs are trained on each folder, once, and tested on 1,000 further images
(two classes, and two thirds of the images, where a kind has no more). *From images* is the encoder alone; *calibrated*
comes after three networks of gennas' own choice were trained on the folder, which `generate` and `predict` do by
themselves. In brackets: 95 % intervals over the folders (bootstrap).
"""


def run(out: Path, checkpoint: Path = Path("checkpoints/nasbench201")) -> None:
    """Forecasts and trains.

    Args:
        out: folder of the images and results.
        checkpoint: with the part ``meta``.
    """
    torch.set_num_threads(1)
    path = out / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    space, recipe = tiny_space(), Recipe.named(RECIPE)
    archs = random_archs(space, ARCHS, seed=1)
    for name in sorted(HELD_OUT_TASKS):
        for draw in (0, 1):
            folder = f"{name.removeprefix('tiny-')}-{draw}"
            if any(row["task"] == folder for row in rows):
                continue
            write_images(TINY_TASKS[name], draw, out / folder)
            task, begun = get_task(str(out / folder), image_size=SIZED.input_shape[-1]), time.perf_counter()
            images = accuracy_forecast(checkpoint, space, task, ())
            encoded = time.perf_counter()
            own = calibrated(images, space, task, "again")
            row = {"task": folder, "encoding": encoded - begun, "trainings": time.perf_counter() - encoded}
            row |= {
                "archs": [arch.key for arch in archs],
                "images": _ends(images, archs),
                "calibrated": _ends(own, archs),
            }
            row["reached"] = [_reached(space, Member(arch, task, 0), recipe) for arch in archs]
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def write_images(tiny: TinyTask, draw: int, folder: Path) -> None:
    """Draws a folder with splits for training and testing; the second draw has the last classes of many."""
    classes = tiny.origin.classes
    first = 0 if draw == 0 else max(classes - CLASSES, 0)
    # Drawn classes are balanced, but for the last images.
    many = int(1.2 * classes * (TRAIN + TEST)) + classes
    source = TinyImages(f"{tiny.name}-{draw}", tiny.origin, many, tiny.changes, tiny.wrong)
    drawn = source.read(1).train
    for label in range(min(CLASSES, classes)):
        rows = np.flatnonzero(drawn.labels == first + label)[: TRAIN + TEST]
        if len(rows) < TRAIN + TEST:
            raise SystemExit(f"{tiny.name}: {len(rows)} images of class {first + label}, {TRAIN + TEST} are needed")
        for place, row in enumerate(rows):
            path = folder / ("train" if place < TRAIN else "test") / f"class{label}" / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.images[row].transpose(1, 2, 0)).save(path)


def _ends(found: AccuracyForecast, archs: Sequence[Any]) -> list[list[float]]:
    """Median, lower and upper end for each arch."""
    if found.forecast is None:
        raise SystemExit(f"nothing is forecast: {found.note}")
    return [[float(value) for value in row] for row in found.forecast.interval(archs)]


def _reached(space: Space, member: Member, recipe: Recipe) -> float:
    (trained,) = train_stack(space, [member], recipe)
    return trained.metrics[f"test_accuracy@{member.task.name}"]


def page(out: Path, page: Path) -> None:
    """Writes the page.

    Args:
        out: folder of the results.
        page: Markdown file.
    """
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    frames = {name: pd.DataFrame([_quality(row, name) for row in rows]) for name in ("images", "calibrated")}
    lines = ["| forecast | within its interval | mean width | error of the median |", "| --- | --- | --- | --- |"]
    for name, title in (("images", "from images"), ("calibrated", "calibrated")):
        cells = " | ".join(interval_text(frames[name][column].to_numpy(), 2) for column in ("within", "width", "error"))
        lines.append(f"| {title} | {cells} |")
    taken = {name: np.median([row[name] for row in rows]) for name in ("encoding", "trainings")}
    lines += ["", "| folder | reached | calibrated: median, 90 % interval (means) | within | width |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for row, own in zip(rows, frames["calibrated"].itertuples(), strict=True):
        median, low, high = np.mean(row["calibrated"], axis=0)
        forecast = f"{median:.2f} ({low:.2f} to {high:.2f})"
        spread = f"{min(row['reached']):.2f} to {max(row['reached']):.2f}"
        lines.append(f"| {row['task']} | {spread} | {forecast} | {own.within:.1f} | {own.width:.2f} |")
    said = f"Median seconds: {taken['encoding']:.1f} for the encoding, {taken['trainings']:.1f} for the trainings. "
    said += f"One thread of {machine()}."
    head = HEAD.format(tasks=len(rows), skeleton=SKELETON, archs=ARCHS)
    write_text(page, "\n".join([head, *lines, "", said, ""]))


def _quality(row: dict[str, Any], name: str) -> dict[str, float]:
    median, low, high = np.array(row[name]).T
    reached = np.array(row["reached"])
    return {
        "within": float(np.mean((low <= reached) & (reached <= high))),
        "width": float(np.mean(high - low)),
        "error": float(np.mean(np.abs(median - reached))),
    }


if __name__ == "__main__":
    auto_cli([run, page], as_positional=False)
