"""Accuracy and latency of trained networks in float32 and in INT8, and which of the two is recommended.

    python scripts/bench_int8.py --out runs/int8

Random archs of several spaces are trained on ``digits`` (or another task), quantised, and timed at the end, one after
the other, each in turns with its quantised self. Repeated, it goes on where it was stopped; the latencies are measured
anew. Prints a Markdown table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.evaluators.train import TrainEvaluator
from gennas.export.mixed_precision import Attempt, Quantised
from gennas.export.precisions import Comparison, compare
from gennas.export.quantisation import quantise_for, score_of
from gennas.files import write_bytes, write_json
from gennas.spaces import Space, get_space
from gennas.tasks import Task, get_task
from gennas.training.recipe import Recipe

SPACES = (
    *("nasbench201:channels=16,cells=1", "nasbench101:channels=16,stacks=2,modules=1"),
    *("fbnet:", "darts:channels=8,cells=4"),
)
COLUMNS = (
    *("network", "float32", "INT8", "test float32", "test INT8", "how", "in float"),
    *("float32 ms", "INT8 ms", "ratio", "recommended"),
)


def main(
    out: Path,
    spaces: Sequence[str] = SPACES,
    networks: int = 4,
    task: str = "digits",
    image_size: int = 16,
    epochs: int = 6,
    seed: int = 0,
    max_drop: float = 0.01,
    threads: int = 1,
) -> None:
    """Trains, quantises, times and prints.

    Args:
        out: folder for what is computed.
        spaces: as name:skeleton.
        networks: random archs of each space.
        task: that networks are trained for.
        image_size: side of the images in pixels.
        epochs: of each training.
        seed: of the archs and the trainings.
        max_drop: accuracy on validation images that INT8 may lose.
        threads: of trainings and of timed runs.
    """
    torch.set_num_threads(threads)
    the_task, recipe = get_task(task, image_size=image_size), Recipe(epochs=epochs, seed=seed)
    folders = []
    for text in spaces:
        name, _, skeleton = text.partition(":")
        space = get_space(name, skeleton)
        rng = np.random.default_rng(seed)
        for number in range(networks):
            arch, folder = space.sample(rng), out / f"{name}-{number}"
            if not (folder / "found.json").exists():
                quantise_one(space, arch, the_task, recipe, max_drop, folder)
            folders.append(folder)
    splits = the_task.splits()
    print(
        f"{task}: {len(splits.train)} training images of {'x'.join(map(str, the_task.input_shape))} pixels, "
        f"{len(splits.val)} validation images, {0 if splits.test is None else len(splits.test)} test images; {epochs} "
        f"epochs, seed {seed}; at most {100 * max_drop:g} % of accuracy lost; {threads} thread(s) of {machine()}, "
        f"onnxruntime {onnxruntime.__version__}.\n"
    )
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|")
    for folder in folders:
        print(row(folder, threads), flush=True)


def quantise_one(space: Space, arch: Arch, task: Task, recipe: Recipe, max_drop: float, folder: Path) -> None:
    """Trains and quantises one network; ``found.json`` comes last."""
    trainer = TrainEvaluator(space, recipe, folder)
    accuracies = trainer.evaluate(arch, task=task, seed=recipe.seed)
    document = (trainer.network_folder(arch) / "network.onnx").read_bytes()
    found = quantise_for(task, document, max_drop=max_drop)
    write_bytes(folder / "float32.onnx", document)
    write_bytes(folder / "int8.onnx", found.document)
    test = task.splits().test
    attempts = [vars(attempt) for attempt in found.attempts]
    facts = {
        "key": arch.key,
        "float_accuracy": found.float_accuracy,
        "attempts": attempts,
        "chosen": None if found.chosen is None else found.attempts.index(found.chosen),
        "layers": found.layers,
        "test_float": accuracies.get(f"test_accuracy@{task.name}"),
        "test_int8": None if test is None else score_of(task, test)(found.document),
    }
    write_json(folder / "found.json", facts)


def row(folder: Path, threads: int) -> str:
    """A network's line of the table."""
    facts = json.loads((folder / "found.json").read_text())
    attempts = tuple(Attempt(**{**one, "excluded": tuple(one["excluded"])}) for one in facts["attempts"])
    chosen = None if facts["chosen"] is None else attempts[facts["chosen"]]
    model = (folder / "int8.onnx").read_bytes()
    quantised = Quantised(model, chosen, facts["float_accuracy"], attempts, facts["layers"])
    compared = compare((folder / "float32.onnx").read_bytes(), quantised, threads=threads)
    cells = [folder.name, f"{quantised.float_accuracy:.4f}", f"{quantised.accuracy:.4f}" if chosen else "—"]
    cells += [f"{facts['test_float']:.4f}", f"{facts['test_int8']:.4f}" if chosen else "—"]
    cells += [_how(chosen), f"{len(quantised.excluded)} of {quantised.layers}", *_times(compared)]
    return f"| {' | '.join(cells)} | {compared.recommended} |"


def _how(chosen: Attempt | None) -> str:
    return "—" if chosen is None else f"{chosen.method}, per {'channel' if chosen.per_channel else 'tensor'}"


def _times(compared: Comparison) -> list[str]:
    if compared.ratio is None or compared.int8_ms is None:
        return [f"{compared.float_ms:.3f}", "—", "—"]
    lower, median, upper = compared.ratio
    return [f"{compared.float_ms:.3f}", f"{compared.int8_ms:.3f}", f"{median:.2f} ({lower:.2f} to {upper:.2f})"]


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
