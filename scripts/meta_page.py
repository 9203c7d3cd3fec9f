"""The page of scripts/bench_meta.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from meta_methods import METHODS

from gennas.evaluators.task_calibration import COUNT

#: Stands for the evaluations of archs that gennas trains itself, by their validation accuracies.
CALIBRATED = -1
#: Draws of the tasks for intervals.
BOOTSTRAPS = 2000

HEAD = """# Accuracy on tasks of kinds never seen

Written by `scripts/bench_meta.py`; do not edit.

A task encoder reads some numbers from a task's images, and a meta-predictor forecasts from them what accuracy archs of
`nasbench201` will have (skeleton `channels=8,cells=1`, 3x16x16 images, recipe `tiny`). It was learnt from {training}
training tasks with {trained} (task, arch) pairs in all (`datasets/tiny-tasks`). There are {cells} cells in all, the
same for the known tasks and for those asked about: what is measured is how tasks differ, not how other cells do.

* **Held out**: {tasks} tasks of kinds of which there is no training task, with {archs} archs each. Nothing was
  chosen by them.
* **Left out**: the {training} training tasks, every one forecast from tasks of other kinds (in six parts). Settings and
  facts were chosen by these, so that they flatter (a) and (f) a little.

Truth is the test accuracy on 1,000 images, the mean over seeds where there are several. Evaluated archs are random, the
same for every method, and results are for the other archs; {seeds} draws. By `--calibrate`, `generate` and `predict`
train the archs that say most about the others, of which they know validation accuracies only. Intervals are to hold the
test accuracies of single trainings, on which seeds differ. In brackets: 95 % intervals over tasks (bootstrap).

Machine: {machine}.
"""


def page_of(folder: Path) -> str:
    """The page of a folder of results."""
    facts = json.loads((folder / "facts.json").read_text())
    ranks, intervals = (pd.read_parquet(folder / f"{name}.parquet") for name in ("ranks", "intervals"))
    counts = facts["archs"].values()
    archs = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(max(counts))
    known = {key: facts[key] for key in ("training", "trained", "cells", "machine")}
    parts = [HEAD.format(tasks=len(counts), archs=archs, seeds=ranks["seed"].nunique(), **known)]
    for name in ("held out", "left out"):
        own, spans = (_of_all(frame[frame["set"] == name]) for frame in (ranks, intervals))
        parts += [f"## {name.capitalize()}\n", "### Kendall's tau\n", _by_method(own, "tau", 2)]
        parts += [_ceiling(facts["ceilings"])] if name == "held out" else []
        parts += ["### Mean true percentile of the archs predicted to be best\n"]
        parts += ["Of 20, or of a quarter where there are fewer.\n", _by_method(own, "percentile", 0)]
        parts += ["### Differences of tau, paired over tasks\n", _pairs(own)]
        parts += ["### 90 % intervals\n", _intervals(spans)]
    own, spans = (_of_all(frame[frame["set"] == "held out"]) for frame in (ranks, intervals))
    parts += ["## Held-out tasks one by one\n", _tasks(own, spans, facts["ceilings"])]
    if (folder / "proxies.parquet").is_file():
        parts += ["## (g) Training-free scores\n", _proxies(pd.read_parquet(folder / "proxies.parquet"))]
    return "\n".join(parts)


def _of_all(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the counts of evaluations that leave too few archs to rank on some of the tasks."""
    tasks = rows.groupby("evaluations")["task"].nunique()
    return rows[rows["evaluations"].isin(tasks.index[tasks == tasks.max()])]


def _by_method(ranks: pd.DataFrame, column: str, digits: int) -> str:
    tasks = ranks.groupby(["method", "evaluations", "task"])[column].mean()
    counts = sorted(ranks["evaluations"].unique())
    lines = [
        f"| method | {' | '.join(f'{count} evaluations' for count in counts)} |",
        "| --- |" + " --- |" * len(counts),
    ]
    for method, text in METHODS.items():
        cells = [interval_text(tasks[method, count].to_numpy(), digits) for count in counts]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def interval_text(values: np.ndarray, digits: int) -> str:
    draws = np.random.default_rng(0).integers(0, len(values), (BOOTSTRAPS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _ceiling(ceilings: dict[str, float]) -> str:
    known = [value for value in ceilings.values() if value is not None and np.isfinite(value)]
    if not known:
        return "Too few archs were trained twice to know the noise ceiling.\n"
    return (
        f"Noise ceiling, from two seeds of the same archs: {np.mean(known):.2f} (mean over {len(known)} tasks): no "
        "predictor of the true mean reaches more on one training.\n"
    )


def _pairs(ranks: pd.DataFrame) -> str:
    tasks = ranks.groupby(["method", "evaluations", "task"])["tau"].mean()
    lines = ["| evaluations | tau of | less that of | difference |", "| --- | --- | --- | --- |"]
    wanted = [(0, "encoder", other) for other in ("zeros", "mean rank")]
    for count in sorted(set(ranks["evaluations"]) - {0}):
        wanted += [(count, "encoder, task kernel", other) for other in METHODS if other != "encoder, task kernel"]
    for count, one, other in wanted:
        difference = (tasks[one, count] - tasks[other, count]).to_numpy()
        lines.append(f"| {count} | {one} | {other} | {interval_text(difference, 2)} |")
    return "\n".join([*lines, ""])


def _intervals(intervals: pd.DataFrame) -> str:
    lines = ["| evaluations | within its interval | mean width | error of the median |", "| --- | --- | --- | --- |"]
    for count in sorted(intervals["evaluations"].unique(), key=lambda one: (one == CALIBRATED, one)):
        tasks = intervals[intervals["evaluations"] == count].groupby("task")[["coverage", "width", "error"]].mean()
        cells = [interval_text(tasks[name].to_numpy(), 2) for name in ("coverage", "width", "error")]
        what = f"{COUNT} by `--calibrate`" if count == CALIBRATED else str(count)
        lines.append(f"| {what} | {' | '.join(cells)} |")
    tau = intervals[intervals["evaluations"] == CALIBRATED].groupby("task")["tau"].mean()
    lines += ["", f"Kendall's tau of the rest is {interval_text(tau.to_numpy(), 2)} after those by `--calibrate`."]
    return "\n".join([*lines, ""])


def _tasks(ranks: pd.DataFrame, intervals: pd.DataFrame, ceilings: dict[str, float]) -> str:
    most = ranks["evaluations"].max()
    shown = [("encoder", 0), ("zeros", 0), ("mean rank", 0), ("task kernel", most), ("encoder, task kernel", most)]
    means = ranks.groupby(["task", "method", "evaluations"])["tau"].mean()
    first = intervals[intervals["evaluations"] == 0].set_index("task")
    heads = [f"{method} at {count}" for method, count in shown]
    lines = [f"| task | ceiling | {' | '.join(heads)} | within | width |", "| --- |" + " --- |" * (len(heads) + 3)]
    for task in sorted(ranks["task"].unique()):
        cells = [f"{means[task, method, count]:.2f}" for method, count in shown]
        ceiling = ceilings.get(task)
        top = "" if ceiling is None or not np.isfinite(ceiling) else f"{ceiling:.2f}"
        own = first.loc[task]
        lines.append(f"| {task} | {top} | {' | '.join(cells)} | {own['coverage']:.2f} | {own['width']:.2f} |")
    return "\n".join([*lines, ""])


def _proxies(proxies: pd.DataFrame) -> str:
    lines = ["| score | Kendall's tau |", "| --- | --- |"]
    for proxy, part in proxies.groupby("proxy"):
        lines.append(f"| {proxy} | {interval_text(part['tau'].to_numpy(), 2)} |")
    return "\n".join([*lines, "", "Without evaluations, on a part of the archs of each task.", ""])
