"""What a supernet's inherited accuracies say of fine-tuned ones, for each strategy of its training.

    python scripts/bench_supernets.py run --out runs/supernets --strategy sandwich --archs 24 --seeds 0
    python scripts/bench_supernets.py report --out runs/supernets --page docs/benchmarks/supernets.md

``run`` draws sub-networks that are spread over the space by their multiply-adds, adapts a supernet with the strategy,
scores them with inherited weights, and fine-tunes each from the published weights of the parent, which no strategy has
touched. All of it is stored in ``rows.jsonl`` and resumes; ``report`` writes a page of what is there.
Inherited accuracies are those of validation images, fine-tuned ones those of test images: no image counts on both
sides. Photos are those of ``GENNAS_DATA``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flowers import flowers
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import kendalltau

from gennas.arch import Arch
from gennas.errors import DataMissingError
from gennas.files import write_text
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets.adaptation import adapt
from gennas.supernets.elastic import ElasticSupernet
from gennas.supernets.paths import Paths
from gennas.supernets.recalibration import Recalibration, native_task
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.strategies import get_strategy
from gennas.tasks import Task
from gennas.training.batches import Normalisation
from gennas.training.fitting import train_network
from gennas.training.network_files import folder_name
from gennas.training.quality import accuracy
from gennas.training.recipe import Recipe

#: Archs that are drawn, for those whose multiply-adds are spread evenly to be chosen among them.
_DRAWN = 600
_RESAMPLES = 1000
#: The strategy that others are compared with.
_USUAL = "sandwich"
#: Fine-tunings that a correlation needs.
_FEWEST = 8
HEAD = """
# Accuracies with a supernet's weights, by strategy

Printed by `scripts/bench_supernets.py`, which stores every measurement and resumes.

Sub-networks of EfficientNet-Lite0 at 48, 64 and 80 pixels, spread evenly over the logarithm of their multiply-adds;
twelve species of flowers, 48 training, 12 validation and 20 test photos each. Each sub-network was fine-tuned for 8
epochs from the published weights of its parent, which no strategy has touched: its test accuracy is the truth.
*Inherited* is the accuracy of validation photos with the weights of a supernet that was adapted by a strategy, with
batch norm statistics of its own. *Both* is a linear regression of the truth on the logarithms of the inherited loss
and of the multiply-adds, fitted without the sub-network that it predicts. Correlations are Kendall's tau; intervals
are of a bootstrap over the sub-networks.
"""
CAVEAT = "Other programs ran beside it: the seconds compare strategies roughly."


def run(
    out: Path,
    strategy: str = "sandwich",
    options: dict[str, Any] | None = None,
    name: str = "",
    archs: int = 24,
    seeds: Sequence[int] = (0,),
    resolutions: Sequence[int] = (48, 64, 80),
    epochs: int = 10,
    draw: str = "near",
    fine_tuning: int = 8,
    classes: int = 12,
    images: int = 60,
) -> None:
    """Adapts supernets, scores sub-networks with inherited weights, and fine-tunes them.

    Args:
        out: folder of rows, supernets and networks.
        strategy: of the supernet.
        options: settings of the strategy.
        name: of this variant in the tables; by default the strategy's.
        archs: sub-networks; the first of more are others than those of fewer.
        seeds: of the supernets; sub-networks and fine-tunings always have seed 0.
        resolutions: of the sub-networks, in pixels.
        epochs: of the supernets.
        draw: how random paths are drawn.
        fine_tuning: epochs of fine-tuning; 0 for none.
        classes: of the photos.
        images: of each class.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    space, task, rows = get_space("lite0"), flowers(classes, images), Rows(out / "rows.jsonl")
    assert isinstance(space, ElasticSpace)
    chosen = spread(space, archs, tuple(resolutions), task)
    for seed in seeds:
        known = {"variant": name or strategy, "seed": seed, "task": task.name}
        folder = out / "supernets" / f"{known['variant']}_{seed}_{task.name}"
        settings = SupernetSettings(epochs=epochs, draw=draw, resolutions=tuple(resolutions), seed=seed)  # type: ignore[arg-type]
        torch.manual_seed(seed)
        adapted = adapt(
            ElasticSupernet.pretrained(space, task),
            task,
            settings,
            folder,
            strategy=get_strategy(strategy, options),
            title=folder.name,
        )
        rows.add({"kind": "adapted", **known}, partial(dict, seconds=adapted.seconds))
        measured = Recalibration(adapted.supernet, task)
        for arch in chosen:
            rows.add({"kind": "inherited", **known, "arch": arch.key}, partial(inherited, measured, arch))
    for arch in chosen if fine_tuning else []:
        rows.add({"kind": "macs", "task": task.name, "arch": arch.key}, partial(space.costs, arch, task))
        rows.add(
            {"kind": "tuned", "task": task.name, "arch": arch.key, "epochs": fine_tuning},
            partial(tuned, space, arch, task, fine_tuning, out / "networks"),
        )


def spread(space: ElasticSpace, count: int, resolutions: tuple[int, ...], task: Task) -> list[Arch]:
    """Sub-networks spread evenly over the logarithm of multiply-adds; half of the candidates lie near the parent."""
    torch.manual_seed(0)
    supernet = ElasticSupernet(space, task, space.build(space.parent_arch(), task))
    rng, found = np.random.default_rng(0), {}
    for draw in ("near", "uniform"):
        paths = Paths(supernet, draw, resolutions)
        for _ in range(_DRAWN // 2):
            arch = paths.random(rng)
            found[arch] = float(np.log(space.costs(arch, task)["macs_m"]))
    archs, sizes = list(found), np.array(list(found.values()))
    chosen: list[Arch] = []
    low, high = (float(np.quantile(sizes, share)) for share in (0.02, 0.98))
    for wanted in np.linspace(low, high, count):
        nearest = next(place for place in np.abs(sizes - wanted).argsort() if archs[place] not in chosen)
        chosen.append(archs[nearest])
    # What is known after half of them is spread over the space, too.
    order = np.argsort([(place * 0.618034) % 1 for place in range(count)], kind="stable")
    return [chosen[place] for place in order]


def inherited(measured: Recalibration, arch: Arch) -> dict[str, float]:
    """What an arch reaches with inherited weights."""
    found = measured(arch)
    of_labels = found.predictions.probabilities[np.arange(len(found.predictions.labels)), found.predictions.labels]
    loss = -float(np.log(np.maximum(of_labels, 1e-12)).mean())
    test = native_task(measured.supernet.space, arch, measured.task).splits().test
    assert test is not None
    test_accuracy = accuracy(found.network, test, measured.normalise)
    return {"accuracy": found.accuracy, "loss": loss, "test_accuracy": test_accuracy, "seconds": found.seconds}


@lru_cache(maxsize=1)
def parent_of(space: ElasticSpace, task: Task) -> ElasticSupernet:
    """The published weights, which no strategy has touched."""
    torch.manual_seed(0)
    return ElasticSupernet.pretrained(space, task)


def tuned(space: ElasticSpace, arch: Arch, task: Task, epochs: int, out: Path) -> dict[str, float]:
    """What an arch reaches when it is fine-tuned from the published weights of its parent."""
    native = native_task(space, arch, task)
    parent = parent_of(space, task)
    recipe = Recipe(
        learning_rate=1e-3,
        weight_decay=0.01,
        decay_norms=False,
        warmup_epochs=0.5,
        epochs=epochs,
        augmentation="flip+crop",
        label_smoothing=0.1,
        ema_epochs=0.5,
    )
    start = time.perf_counter()
    found = train_network(
        lambda: parent.inherit(arch, native),
        native,
        recipe,
        out / f"{folder_name(arch.key)}_{task.name}_{epochs}",
        f"{arch.key} {task.name} {epochs}",
        logging.info,
        Normalisation.of(space, task),
    )
    values = {
        f"{'' if split == 'val' else 'test_'}accuracy": made.accuracy for split, made in found.predictions.items()
    }
    return {**values, "seconds": time.perf_counter() - start}


class Rows:
    """Results in a file of JSON lines; what is there is not measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[dict[str, Any]]:
        """The rows; a line that a kill cut off is passed over."""
        found = []
        for line in self.path.read_text().splitlines() if self.path.is_file() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                logging.info("passed over: %s", line[:80])
        return found

    def add(self, known: dict[str, Any], measure: Callable[[], dict[str, float]]) -> None:
        """Measures what is not there yet."""
        if any(all(row.get(name) == value for name, value in known.items()) for row in self.all()):
            return
        values = measure()
        with self.path.open("a") as file:
            file.write(json.dumps({**known, **values}) + "\n")
        logging.info("%s", {**known, **values})


def report(out: Path, page: Path | None = None) -> None:
    """Writes a page with the rank correlations with fine-tuned test accuracy, a row per variant.

    Args:
        out: folder of the rows.
        page: Markdown file to write; by default it is printed.
    """
    rows = Rows(out / "rows.jsonl").all()
    truth = {row["arch"]: row["test_accuracy"] for row in rows if row["kind"] == "tuned"}
    if len(truth) < _FEWEST:
        raise DataMissingError(
            f"{len(truth)} fine-tunings in {out}; a correlation needs at least {_FEWEST}: repeat run."
        )
    macs = {row["arch"]: row["macs_m"] for row in rows if row["kind"] == "macs"}
    variants: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["kind"] == "inherited" and row["arch"] in truth:
            variants.setdefault((row["variant"], row["seed"]), {})[row["arch"]] = row
    seconds = {(row["variant"], row["seed"]): row["seconds"] for row in rows if row["kind"] == "adapted"}
    lines = [
        "| strategy | seed | archs | adapting, s | inherited, mean | tau of inherited | of multiply-adds | of both "
        "| both less multiply-adds (95 %) | inherited less sandwich's (95 %) | both less sandwich's (95 %) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    brings: dict[str, list[bool]] = {}
    for (variant, seed), mine in sorted(variants.items(), key=lambda one: (one[0][0] != _USUAL, one[0])):
        usual = variants.get((_USUAL, seed), {}) if variant != _USUAL else {}
        archs = [arch for arch in truth if arch in mine and (not usual or arch in usual)]
        wanted, size = np.array([truth[arch] for arch in archs]), np.log([macs[arch] for arch in archs])
        exact, both = scores_of(mine, archs, size, wanted)
        taus = " | ".join(f"{kendalltau(score, wanted)[0]:.2f}" for score in (exact, size, both))
        gains = [interval(both, left_out(size[:, None], wanted), wanted)]
        if usual:
            gains += [
                interval(*pair, wanted)
                for pair in zip((exact, both), scores_of(usual, archs, size, wanted), strict=True)
            ]
            brings.setdefault(variant, []).append(max(low for low, _ in gains[1:]) > 0)
        differences = " | ".join([*(f"{low:+.2f} to {high:+.2f}" for low, high in gains), *[""] * (3 - len(gains))])
        spent = seconds.get((variant, seed), float("nan"))
        lines.append(
            f"| {variant} | {seed} | {len(archs)} | {spent:.0f} | {exact.mean():.3f} | {taus} | {differences} |"
        )
    better = [variant for variant, found in brings.items() if all(found)]
    others = [variant for variant in brings if variant not in better]
    verdict = f"Above `{_USUAL}` in one of the last two columns with every seed: {', '.join(better) or 'none'}. "
    verdict += f"Not shown to bring anything over `{_USUAL}`: {', '.join(others) or 'none'}."
    values = np.array(list(truth.values()))
    facts = f"Fine-tuned test accuracies are {values.min():.3f} to {values.max():.3f}. One thread of {machine()}."
    text = "\n\n".join([HEAD.strip(), "\n".join(lines), verdict, f"{facts} {CAVEAT}"]) + "\n"
    print(text) if page is None else write_text(page, text)


def scores_of(
    rows: dict[str, dict[str, Any]], archs: Sequence[str], size: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inherited accuracies ``(n,)``, and what they say together with the ``(n,)`` logarithms of multiply-adds."""
    loss, exact = (np.array([rows[arch][name] for arch in archs]) for name in ("loss", "accuracy"))
    return exact, left_out(np.stack([np.log(loss + 0.05), size], 1), wanted)


def left_out(features: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Predictions ``(n,)`` of a linear regression on all but the one that is predicted."""
    design = np.column_stack([np.ones(len(wanted)), features])
    hat = design @ np.linalg.pinv(design)
    return wanted - (wanted - hat @ wanted) / (1 - np.diag(hat))


def interval(first: np.ndarray, second: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """The 95 % interval over archs of the difference between two scores' Kendall correlations with the truth."""
    rng, found = np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        rows = rng.integers(len(wanted), size=len(wanted))
        found.append(kendalltau(first[rows], wanted[rows])[0] - kendalltau(second[rows], wanted[rows])[0])
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    auto_cli({"run": run, "report": report}, as_positional=False)
