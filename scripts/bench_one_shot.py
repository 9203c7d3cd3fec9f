"""How well inherited accuracies rank the cells of NAS-Bench-201, for each strategy that trains a supernet.

    GENNAS_DATA=... python scripts/bench_one_shot.py --out runs/one_shot --page docs/benchmarks/one_shot.md

A supernet of small networks is trained on a part of CIFAR-10 whose images are halved, and its inherited accuracies on
random cells are held against the table's, beside costs and training-free scores. Every strategy passes about as many
images through paths. Everything that is finished is kept: repeating the command goes on, also after it was killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cifar10_subset import subset
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import kendalltau

from gennas.evaluators.inherited import scores_of
from gennas.files import write_json, write_text
from gennas.spaces import Space, get_space
from gennas.supernets.adaptation import adapt
from gennas.supernets.correction import Scores, fit_correction
from gennas.supernets.of_space import supernet_of
from gennas.supernets.recalibration import Recalibration
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.stored import load_supernet
from gennas.supernets.strategies import STRATEGIES, get_strategy
from gennas.tables import load_table
from gennas.tasks import Task

METRIC = "accuracy@cifar10"
#: Resamples of the cells for intervals; fine-tunings of a correction, and how often they are drawn.
RESAMPLES, FINE_TUNED, DRAWS = 2000, 20, 50


@dataclass(frozen=True)
class Way:
    """A strategy with settings.

    Attributes:
        title: in the page.
        strategy: its name.
        options: its settings.
        paths: that it trains in each step.
    """

    title: str
    strategy: str
    options: Mapping[str, Any]
    paths: int


WAYS = {
    "uniform": Way("`uniform`, single path", "uniform", {}, 1),
    "sandwich": Way("`sandwich`, three random paths, as no arch is the largest", "sandwich", {"random": 3}, 3),
    "fair": Way("`fair`, every operation of every edge", "fair", {}, 5),
    "splits": Way("`splits`, two parts after 20 epochs", "splits", {"random": 1, "warm_up": 20}, 1),
    "k_shot": Way("`k_shot`, three sets of weights", "k_shot", {"random": 1}, 1),
    "plasticity": Way("`plasticity`, three steps per path", "plasticity", {}, 1),
}
HEADS = (
    "strategy",
    "seed",
    "paths per step",
    "epochs",
    "minutes",
    "seconds per cell",
    "tau",
    "top half",
    "corrected",
    "better than multiply-adds",
)
HEAD = """# One-shot accuracies of cells

Written by `scripts/bench_one_shot.py`; do not edit.

One supernet holds all operations on every edge of NAS-Bench-201's cells. It is trained once on a part of CIFAR-10, and
then every cell has an accuracy in a second, without any training of its own: that of the weights it inherits, with
batch norms made anew. How well these accuracies rank cells is said by Kendall's tau with the table's validation
accuracies after 200 epochs, over random cells (of those in which input and output are connected). Brackets are 95 %
intervals by resampling cells. *Better than multiply-adds* is the difference of two taus on the same cells. *Corrected*
is the score after a correction that was learnt from the table's accuracies of {fine_tuned} of the cells
(`gennas/supernets/correction.py`), on the others; mean of {draws} draws.
"""
TAIL = """Published one-shot accuracies on this space reach a tau of about 0.5 to 0.75, with networks of the
published size on all images, and hours on a GPU; here networks and images are small and two cores have minutes. What
can be compared is the order of the rows, on the same cells and images.
"""


def main(
    out: Path,
    page: Path | None = None,
    strategies: Sequence[str] = tuple(WAYS),
    seeds: int = 1,
    cells: int = 300,
    passes: int = 100,
    train: int = 10_000,
    val: int = 2_000,
    skeleton: str = "channels=8,cells=1",
    halvings: int = 1,
) -> None:
    """Trains, scores and writes.

    Args:
        out: folder of the supernets and the scores.
        page: where the page is written, of all that is finished; none by default. Beside it lies a CSV file with its
            rows, of which those that ``out`` does not have are kept.
        strategies: of those in the script; what the package does not have is left out.
        seeds: supernets of each strategy.
        cells: to rank.
        passes: over the images, of all paths of a step together.
        train: training images.
        val: validation images, of which the accuracies are.
        skeleton: of the networks.
        halvings: of the images' sides.
    """
    torch.set_num_threads(1)
    space, task = get_space("nasbench201", skeleton), subset(train, val, halvings)
    truth = _truth(cells)
    settings = {"passes": passes, "train": train, "val": val, "skeleton": skeleton, "side": 32 >> halvings}
    # Page by page, so that what is finished is seen while the next is trained.
    for seed in range(seeds):
        for name in strategies:
            if WAYS[name].strategy in STRATEGIES:
                _run(out / f"{name}-{seed}", WAYS[name], seed, space, task, truth, settings)
                if page is not None:
                    _write(page, out, truth, settings, space, task)
    if page is not None:
        _write(page, out, truth, settings, space, task)


def _truth(cells: int) -> pd.DataFrame:
    """A row per cell: the table's accuracy, costs of the published networks, and published training-free scores."""
    data = Path(os.environ["GENNAS_DATA"])
    keys = pd.read_parquet(data / "nasbench201.parquet").set_index("index")["arch_str"]
    proxies = pd.read_parquet(data / "nasbench201_proxies.parquet").sample(cells, random_state=201).set_index("index")
    proxies = proxies.filter(like="_c10")
    table, space = load_table("nasbench201"), get_space("nasbench201")
    frame = proxies.set_axis(pd.Index(keys.loc[proxies.index], name="key"))
    archs = {key: space.parse(key) for key in frame.index}
    costs = [space.costs(arch, Task("cifar10", (3, 32, 32), 10)) for arch in archs.values()]
    frame["truth"] = [table.lookup(arch, METRIC) for arch in archs.values()]
    return frame.assign(**{name: [cost[name] for cost in costs] for name in ("params_m", "macs_m")})


def _run(
    folder: Path, way: Way, seed: int, space: Space, task: Task, truth: pd.DataFrame, settings: dict[str, Any]
) -> None:
    """Trains a supernet and scores all cells, as far as that was not done before."""
    path = folder / "scores.json"
    if _is_finished(path, truth, settings):
        return
    strategy = get_strategy(way.strategy, way.options)
    epochs = max(1, round(settings["passes"] / way.paths))
    how = SupernetSettings(
        epochs=epochs,
        batch_size=64,
        learning_rate=3e-3,
        weight_decay=1e-3,
        warmup_epochs=1.0,
        ema_epochs=0.0,
        label_smoothing=0.0,
        augmentation="flip+crop",
        draw="uniform",
        seed=seed,
    )
    adapted = adapt(supernet_of(space, task, seed=seed), task, how, folder / "supernet", strategy=strategy)
    recalibration = Recalibration(load_supernet(folder / "supernet", task), task)
    scores: dict[str, dict[str, float]] = {}
    if path.is_file():
        known = json.loads(path.read_text())
        scores = known["scores"] if known["supernet"] == adapted.fingerprint else {}
    todo = [key for key in truth.index if key not in scores]
    for number, key in enumerate(todo, start=1):
        found = recalibration(space.parse(key))
        scores[key] = {"score": found.accuracy, "seconds": found.seconds}
        if number % 10 == 0 or number == len(todo):
            facts = {"supernet": adapted.fingerprint, "epochs": epochs, "train_seconds": adapted.seconds}
            write_json(path, {**facts, "machine": machine(), "settings": settings, "scores": scores})
            print(f"{folder.name}: {len(scores)} of {len(truth)} cells", flush=True)


def _is_finished(path: Path, truth: pd.DataFrame, settings: Mapping[str, Any]) -> bool:
    """Whether all cells have scores with these settings."""
    if not path.is_file():
        return False
    found = json.loads(path.read_text())
    return found["settings"] == settings and not set(truth.index) - set(found["scores"])


def _write(page: Path, out: Path, truth: pd.DataFrame, settings: dict[str, Any], space: Space, task: Task) -> None:
    rows: list[dict[str, str]] = []
    taus: dict[str, float] = {}
    macs = truth["macs_m"].to_numpy()
    for name in truth.columns.drop("truth").astype(str):
        values = truth[name].to_numpy(float)
        taus[name] = _tau(values, truth["truth"].to_numpy())
    for name, way in WAYS.items():
        for folder in sorted(out.glob(f"{name}-*")):
            path = folder / "scores.json"
            if not _is_finished(path, truth, settings):
                continue
            found = json.loads(path.read_text())
            score = np.array([found["scores"][key]["score"] for key in truth.index])
            cells = _row(way, folder.name.rpartition("-")[2], found, score, truth, macs, space, task)
            rows.append(dict(zip(HEADS, cells, strict=True)) | {"machine": found["machine"]})
    frame = pd.DataFrame(rows, columns=[*HEADS, "machine"])
    kept = page.with_suffix(".csv")
    if kept.is_file():
        before = pd.read_csv(kept, dtype=str)
        frame = pd.concat([frame, before]).drop_duplicates(["strategy", "seed"])
    order = {way.title: row for row, way in enumerate(WAYS.values())}
    frame = frame.sort_values("seed").sort_values("strategy", key=lambda titles: titles.map(order), kind="stable")
    write_text(kept, frame.to_csv(index=False))
    lines = [f"| {' | '.join(row)} |" for row in frame[list(HEADS)].to_numpy()]
    table = [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|", *lines]
    best = max((name for name in taus if name.endswith("_c10")), key=lambda name: taus[name])
    titles = {"macs_m": "multiply-adds", "params_m": "parameters", best: f"{best.removesuffix('_c10')}, the best of "
              f"{sum(name.endswith('_c10') for name in taus)} training-free scores on these cells"}  # fmt: skip
    others = ["| without training | tau | top half |", "| --- | --- | --- |"]
    for name, title in titles.items():
        values = truth[name].to_numpy(float)
        others.append(f"| {title} | {_with_interval(values, truth)} | {_top(values, truth):.3f} |")
    facts = (
        f"{len(truth)} cells; `{settings['skeleton']}`; {settings['train']:,} training and {settings['val']:,} "
        f"validation images of {settings['side']}x{settings['side']} pixels; {settings['passes']} passes over the "
        "images, divided by the paths of a step. Minutes are those of one thread of a machine that others used, too: "
        f"no measurement of speed. {'; '.join(frame['machine'].unique())}."
    )
    parts = [HEAD.format(fine_tuned=FINE_TUNED, draws=DRAWS), "\n".join(table), "\n".join(others), facts, TAIL]
    write_text(page, "\n\n".join(part.strip() for part in parts) + "\n")


def _row(
    way: Way,
    seed: str,
    found: Mapping[str, Any],
    score: np.ndarray,
    truth: pd.DataFrame,
    macs: np.ndarray,
    space: Space,
    task: Task,
) -> list[str]:
    seconds = np.mean([one["seconds"] for one in found["scores"].values()])
    true = truth["truth"].to_numpy()
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(true), len(true)) for _ in range(RESAMPLES)]
    gains = [_tau(score[rows], true[rows]) - _tau(macs[rows], true[rows]) for rows in draws]
    low, high = np.quantile(gains, [0.025, 0.975])
    archs = [space.parse(key) for key in truth.index]
    corrected = _corrected(scores_of(space, archs, list(score), task), true)
    return [
        way.title,
        seed,
        str(way.paths),
        str(found["epochs"]),
        f"{found['train_seconds'] / 60:.0f}",
        f"{seconds:.1f}",
        _with_interval(score, truth),
        f"{_top(score, truth):.3f}",
        f"{corrected:.3f}",
        f"{_tau(score, true) - _tau(macs, true):+.3f} [{low:+.3f}, {high:+.3f}]",
    ]


def _corrected(scores: Scores, true: np.ndarray) -> float:
    """Tau on the other cells of scores that were corrected by some cells' accuracies; the mean over draws of these."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        chosen = rng.permutation(len(true))
        few, rest = chosen[:FINE_TUNED], chosen[FINE_TUNED:]
        parts = [Scores(scores.score[rows], scores.params_m[rows], scores.macs_m[rows]) for rows in (few, rest)]
        mean, _ = fit_correction(parts[0], true[few].tolist(), scores).predict(parts[1])
        found.append(_tau(mean, true[rest]))
    return float(np.mean(found))


def _tau(values: np.ndarray, true: np.ndarray) -> float:
    return float(kendalltau(np.nan_to_num(values, neginf=-1e30, posinf=1e30, nan=-1e30), true).statistic)


def _top(values: np.ndarray, truth: pd.DataFrame) -> float:
    """Tau among the better half by the table."""
    top = (truth["truth"] >= truth["truth"].median()).to_numpy()
    return _tau(values[top], truth["truth"].to_numpy()[top])


def _with_interval(values: np.ndarray, truth: pd.DataFrame) -> str:
    rng, true = np.random.default_rng(0), truth["truth"].to_numpy()
    draws = [rng.integers(0, len(true), len(true)) for _ in range(RESAMPLES)]
    low, high = np.quantile([_tau(values[rows], true[rows]) for rows in draws], [0.025, 0.975])
    return f"{_tau(values, true):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
