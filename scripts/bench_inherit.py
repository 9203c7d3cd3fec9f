"""In how many epochs a mutation that begins with its parent's weights reaches the accuracy of training from scratch.

    GENNAS_DATA=... python scripts/bench_inherit.py --out runs/inherit --page docs/benchmarks/inherit.md

Pairs of random cells of NAS-Bench-201 and a cell that differs by one operation, on a part of CIFAR-10 whose images are
halved. Everything that is finished is kept: repeating the command goes on, also after it was killed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cifar10_subset import subset
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.evaluators.train import TrainEvaluator, silent
from gennas.files import write_json, write_text
from gennas.spaces import Space, get_space
from gennas.tasks import Task
from gennas.training.recipe import Recipe
from gennas.training.repeats import interval_of

HEAD = """# Beginning with a parent's weights

Written by `scripts/bench_inherit.py`; do not edit.

{pairs} pairs of a random cell of NAS-Bench-201 and a cell in which one operation is another one, drawn at random among
those that compute another function. The first, the *parent*, is trained for {epochs} epochs; the second is trained from
random weights for as long, and in fewer epochs from what it has in common with its parent (`--inherit`), with a
learning rate schedule of that length each time. Accuracies are those of {val:,} test images; the last column is the
fewest epochs of those tried in which the inherited network reaches at least the accuracy from scratch.
"""


def main(
    out: Path,
    page: Path | None = None,
    pairs: int = 10,
    epochs: int = 12,
    train: int = 2_000,
    val: int = 2_000,
    skeleton: str = "channels=8,cells=1",
) -> None:
    """Trains and writes.

    Args:
        out: folder of the trained networks and their accuracies.
        page: where the page is written; none by default.
        pairs: of archs.
        epochs: from scratch; a multiple of 4.
        train: training images.
        val: validation images, and test images.
        skeleton: of the networks.
    """
    torch.set_num_threads(1)
    space, task = get_space("nasbench201", skeleton), subset(train, val)
    scratch = Recipe(epochs=epochs, batch_size=32, augmentation="flip+crop")
    rows = []
    for number, (parent, child) in enumerate(_pairs(space, pairs)):
        place = out / f"pair{number}"
        rows.append(_pair(place, space, task, parent, child, scratch))
        print(f"pair {number}: {rows[-1]['accuracies']}", flush=True)
        if page is not None:
            _write(page, rows, epochs, train, val, skeleton)


def _pairs(space: Space, count: int) -> list[tuple[Arch, Arch]]:
    """Random archs, each with one that differs by one operation; both connect input and output."""
    rng, found = np.random.default_rng(0), list[tuple[Arch, Arch]]()
    while len(found) < count:
        parent, slot = space.sample(rng), int(rng.integers(1, 7))
        op = str(rng.choice([op for op in space.template.operations[slot] if op != parent.ops[slot]]))
        child = space.arch([*parent.ops[:slot], op, *parent.ops[slot + 1 :]])
        is_constant = space.is_constant(parent) or space.is_constant(child)
        if not is_constant and space.canonical(parent) != space.canonical(child):
            found.append((parent, child))
    return found


def _pair(place: Path, space: Space, task: Task, parent: Arch, child: Arch, scratch: Recipe) -> dict[str, Any]:
    """Test accuracies of the trainings of a pair, as far as they are not there yet."""
    path = place / "accuracies.json"
    asked = {"parent": parent.key, "child": child.key, "recipe": scratch.hash, "images": task.splits().fingerprint}
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    accuracies = found["accuracies"] if found and found["asked"] == asked else {}
    folder = TrainEvaluator(space, scratch, place / "parent", silent).network_folder(parent)
    half = scratch.epochs // 2
    inherited = {
        f"inherited, {epochs}": replace(scratch, epochs=epochs, inherit=str(folder), warmup_epochs=0.5)
        for epochs in (half // 2, half)
    }
    inherited[f"inherited, {half}, features"] = replace(inherited[f"inherited, {half}"], feature_epochs=1)
    trainings = {"parent": (parent, scratch), "scratch": (child, scratch)}
    trainings |= {name: (child, recipe) for name, recipe in inherited.items()}
    for name, (arch, recipe) in trainings.items():
        if name not in accuracies:
            evaluator = TrainEvaluator(space, recipe, place / name.replace(", ", "-"), silent)
            accuracies[name] = evaluator.evaluate(arch, task=task)[f"test_accuracy@{task.name}"]
            evaluator.stored(arch)
            write_json(path, {"asked": asked, "accuracies": accuracies, "machine": machine()})
    return {**asked, "accuracies": accuracies, "machine": machine()}


def _write(page: Path, rows: list[dict[str, Any]], epochs: int, train: int, val: int, skeleton: str) -> None:
    names = list(rows[0]["accuracies"])
    half, plain = epochs // 2, [f"inherited, {epochs // 4}", f"inherited, {epochs // 2}"]
    head = ["parent -> mutation", *names, "epochs to reach scratch"]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    reached = []
    for row in rows:
        own = row["accuracies"]
        enough = [name for name in plain if own[name] >= own["scratch"]]
        reached.append(bool(enough))
        fewest = enough[0].split(", ")[1] if enough else f"more than {half}"
        words = [_difference(row["parent"], row["child"]), *(f"{own[name]:.4f}" for name in names), fewest]
        lines.append(f"| {' | '.join(words)} |")
    means = [np.mean([row["accuracies"][name] for row in rows]) for name in names]
    lines.append(f"| mean | {' | '.join(f'{mean:.4f}' for mean in means)} | |")
    sentences = [f"{sum(reached)} of {len(rows)} reach the accuracy from scratch in half of its epochs or fewer."]
    for name in names[2:]:
        gains = [row["accuracies"][name] - row["accuracies"]["scratch"] for row in rows]
        sentences.append(f"- *{name}* minus *scratch*: {interval_of(gains)}, 95 % t-interval over the pairs.")
    facts = (
        f"`{skeleton}`; {train:,} training images of 16x16 pixels; recipe `quick` with mirrored and shifted images; "
        f"one thread of {rows[0]['machine']}."
    )
    parts = [HEAD.format(pairs=len(rows), epochs=epochs, val=val), "\n".join(lines), "\n".join(sentences), facts]
    write_text(page, "\n\n".join(part.strip() for part in parts) + "\n")


def _difference(parent: str, child: str) -> str:
    """What differs between two cells in words, e.g. ``1->3: none -> skip_connect``."""
    space = get_space("nasbench201")
    first, second = space.parse(parent), space.parse(child)
    slots = zip(space.template.slots, first.ops, second.ops, strict=True)
    return ", ".join(f"{slot}: {own} -> {other}" for slot, own, other in slots if own != other)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
