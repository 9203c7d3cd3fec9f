"""Trains networks for the meta-data set of tiny tasks, and writes its table; goes on where the last one stopped.

    GENNAS_DATA=... python scripts/collect_tiny_tasks.py --out runs/tiny --archs 60 --held-out-archs 500

What `datasets/tiny-tasks/trainings.parquet` has is not trained again, on whatever machine it was trained, as long as
tasks have the same images. All tasks have the first of the same random cells of NAS-Bench-201, so that the table is of
use long before it is complete: at first a few cells on all tasks, then more of them, and second seeds of some.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from gennas.collecting import collect
from gennas.collecting.collection import TABLE, trainings_frame
from gennas.collecting.evaluator import MetricsEvaluator
from gennas.collecting.held_images import holding
from gennas.collecting.plan import random_archs
from gennas.collecting.store import TASKS, note_tasks, settings_of
from gennas.documents import read_json
from gennas.errors import DataMissingError, StudyError
from gennas.files import write_json, write_parquet
from gennas.paths import shipped
from gennas.spaces import Space, get_space
from gennas.studies.records import Row, evaluations_of
from gennas.studies.study import Study
from gennas.tasks import Task, get_task
from gennas.tasks.tiny import HELD_OUT_TASKS, TRAINING_TASKS
from gennas.training.recipe import Recipe

SPACE, SKELETON, RECIPE = "nasbench201", "channels=8,cells=1", "tiny"
#: Cells that are added to all tasks before any has more, and those of which there are second seeds.
ROUND, REPEATED = 4, 8


def main() -> None:
    """Reads the options, trains, and writes the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True, help="folder of the study")
    options.add_argument("--archs", type=int, default=60, help="cells on each training task")
    options.add_argument("--held-out-archs", type=int, default=500, help="cells on each held-out task")
    options.add_argument("--write", type=Path, default=shipped("datasets") / "tiny-tasks", help="folder of the table")
    asked = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    space, recipe = get_space(SPACE, SKELETON), Recipe.named(RECIPE)
    archs = random_archs(space, max(asked.archs, asked.held_out_archs))
    training, held_out = usable(list(TRAINING_TASKS)), usable(list(HELD_OUT_TASKS))
    adopt(asked.write, asked.out, space, recipe, [*training, *held_out])
    most = max(asked.archs, asked.held_out_archs)
    for count in range(ROUND, most + ROUND, ROUND):
        for tasks, wanted in ((training, asked.archs), (held_out, asked.held_out_archs)):
            if tasks and wanted > count - ROUND:
                collect(space, tasks, archs[: min(count, wanted)], folder=asked.out, recipe=recipe)
        if count <= REPEATED:
            collect(space, [*training, *held_out], archs[:count], folder=asked.out, recipe=recipe, seed=1)
        publish(asked.out, asked.write, space, recipe)


def usable(names: list[str]) -> list[Task]:
    """The tasks of that name whose images are on this machine, read once for all rounds."""
    found = []
    for name in names:
        task = holding(get_task(name))
        try:
            task.splits()
        except DataMissingError as error:
            logging.warning("%s is left out: %s", name, error)
            continue
        found.append(task)
    return found


def adopt(table: Path, out: Path, space: Space, recipe: Recipe, tasks: list[Task]) -> None:
    """Puts the trainings of the table into the study, unless it has them.

    Raises:
        StudyError: a task has other images than those of the table.
    """
    if not (table / TABLE).is_file():
        return
    noted = read_json(table / TASKS)
    for task in tasks:
        here = task.splits().fingerprint
        if noted.get(task.name, {}).get("images", here) != here:
            raise StudyError(f"{table / TABLE} has trainings on other images of {task.name!r}; remove its rows first.")
    evaluator, by_name = MetricsEvaluator(space, recipe, out), {task.name: task for task in tasks}
    with Study.open(out, settings_of(space, recipe)) as study:
        note_tasks(study.folder, tasks)
        known = {(row.task, row.arch, row.seed) for row in study.find(source="trained")}
        frame = pd.read_parquet(table / TABLE)
        rows: list[Row] = []
        metrics = [name for name in frame if name not in ("task", "arch", "seed", "recipe", "seconds")]
        for row in frame.to_dict("records"):
            is_ours = row["recipe"] == replace(recipe, seed=int(row["seed"])).hash
            if row["task"] not in by_name or not is_ours or (row["task"], row["arch"], row["seed"]) in known:
                continue
            values = {f"{name}@{row['task']}": float(row[name]) for name in metrics if row[name] == row[name]}
            rows += evaluations_of(
                evaluator,
                space.parse(row["arch"]),
                by_name[row["task"]],
                values,
                seed=int(row["seed"]),
                seconds=float(row["seconds"]),
            )
        study.add(rows)


def publish(out: Path, table: Path, space: Space, recipe: Recipe) -> None:
    """Writes all trainings of the study as the table, those of tasks without images here among them."""
    with Study.open(out, settings_of(space, recipe)) as study:
        frame = trainings_frame(study)
    path, noted = table / TABLE, read_json(out / TASKS)
    if path.is_file():
        before, key = pd.read_parquet(path), ["task", "arch", "seed", "recipe"]
        frame = pd.concat([before, frame]).drop_duplicates(key, keep="last")
        noted = read_json(table / TASKS) | noted
    frame = frame.sort_values(["task", "seed", "arch"], ignore_index=True)
    write_parquet(frame, path, {"made_by": "scripts/collect_tiny_tasks.py", "space": space.name, "recipe": recipe.hash})
    write_json(table / TASKS, noted)
    shutil.copy(path, out / TABLE)


if __name__ == "__main__":
    main()
