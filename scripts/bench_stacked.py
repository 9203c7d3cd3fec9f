"""How fast many small networks are trained at once: image passes per second by layout, precision and stack size.

    python scripts/bench_stacked.py --device cuda --sizes 128,512 --layouts multiplied,grouped
    python scripts/bench_stacked.py --device cpu --sizes 1,4,16,64

Random cells of NAS-Bench-201 at a small skeleton, on random images. ``separate`` runs the networks one after the other.
Prints a line per case, and Markdown in the end. A case that fails is printed as such, and the others go on. On a CPU
seconds are those of the processor, so that other work on the machine counts less.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import torch
from machine import machine

from gennas.spaces import get_space
from gennas.spaces.stacks.base import StackLayout
from gennas.tasks import ImageSource, Split, Splits, Task
from gennas.training.accelerator import accelerator
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, StackTraining, computing

#: Image passes of one training with the recipe ``tiny``, and trainings of a meta-data set, for the last column.
PASSES, TRAININGS = 8_000, 6_500


@dataclass(frozen=True)
class RandomImages(ImageSource):
    """Random images, of which only the shape matters."""

    seed: int
    side: int

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(self.seed)

        def split(count: int) -> Split:
            images = rng.integers(0, 256, (count, 3, self.side, self.side), dtype=np.uint8)
            return Split(images, rng.integers(0, 10, count))

        return Splits(split(400), split(200), split(1000))


@dataclass(frozen=True)
class Case:
    """One way of training a stack."""

    layout: str
    precision: str
    graphs: bool
    size: int


def measured(case: Case, device: str, skeleton: str, side: int, seconds: float) -> dict[str, str]:
    """A row of the table: the speed of the steps, and the time and memory of a whole training."""
    space = get_space("nasbench201", skeleton)
    rng = np.random.default_rng(0)
    tasks = [Task(f"random{n}", (3, side, side), 10, source=RandomImages(n, side)) for n in range(4)]
    members = [Member(space.sample(rng), tasks[n % 4], n % 2) for n in range(case.size)]
    recipe = Recipe(epochs=20, precision="bfloat16" if case.precision == "bfloat16" else "float32")
    layout, is_gpu = cast(StackLayout, case.layout), device == "cuda"

    clock = time.perf_counter if is_gpu else time.process_time

    def wait() -> None:
        if is_gpu:
            torch.cuda.synchronize()

    if is_gpu:
        torch.cuda.reset_peak_memory_stats()
    start = clock()
    training = StackTraining(space, members, recipe, device=device, layout=layout, graphs=case.graphs)
    wait()
    built = clock() - start
    with computing(training.device, case.precision == "tf32"):
        training.stack.train()
        batches = [batch for epoch in range(2) for batch in training.draws.epoch(epoch)]
        # Long enough for a graph of both batch sizes.
        for rows, moves in batches * 2 if is_gpu else batches[:1]:
            training.steps(rows, moves, 1e-3)
        wait()
        start, passes, number = clock(), 0, 0
        while not passes or clock() - start < seconds:
            for _ in range(10 if is_gpu else 1):
                rows, moves = batches[number % len(batches)]
                training.steps(rows, moves, 1e-3)
                passes, number = passes + rows.numel(), number + 1
            wait()
        spent = clock() - start
        start = clock()
        training.evaluate()
        wait()
        evaluated = clock() - start
    each = PASSES * spent / passes + (built + evaluated) / case.size
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if is_gpu else ""
    return {
        "layout": case.layout,
        "arithmetic": case.precision,
        "graphs": "yes" if training.steps.has_graphs else "no",
        "networks": str(case.size),
        "passes/s": f"{passes / spent:,.0f}",
        "ms/step": f"{1e3 * spent / number:.1f}",
        "build s": f"{built:.2f}",
        "evaluate s": f"{evaluated:.2f}",
        "memory GB": memory,
        "s/training": f"{each:.3f}",
        f"hours for {TRAININGS:,}": f"{each * TRAININGS / 3600:.2f}",
    }


def name_of(device: str) -> str:
    """The GPU, or how many threads."""
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=accelerator().type)
    parser.add_argument("--sizes", default="1,4,16,64")
    parser.add_argument("--layouts", default=",".join(get_args(StackLayout)))
    parser.add_argument("--precisions", default="", help="float32, tf32, bfloat16; by default all on a GPU")
    parser.add_argument("--graphs", default="", help="yes, no; by default both on a GPU")
    parser.add_argument("--skeleton", default="channels=8,cells=1")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0, help="for the steps of each case")
    given = parser.parse_args()
    is_gpu = given.device == "cuda"
    precisions = (given.precisions or ("float32,tf32,bfloat16" if is_gpu else "float32")).split(",")
    graphs = [word == "yes" for word in (given.graphs or ("yes,no" if is_gpu else "no")).split(",")]
    rows = []
    # What is imported and set up once is no case's.
    measured(Case("separate", "float32", False, 1), given.device, given.skeleton, given.side, 0.0)
    for size in map(int, given.sizes.split(",")):
        for layout in given.layouts.split(","):
            for precision in precisions:
                for makes in graphs:
                    case = Case(layout, precision, makes, size)
                    try:
                        row = measured(case, given.device, given.skeleton, given.side, given.seconds)
                    except Exception as error:
                        print(f"{case} failed: {type(error).__name__}: {error}", flush=True)
                        if is_gpu:
                            torch.cuda.empty_cache()
                        continue
                    rows.append(row)
                    print("  ".join(f"{name} {value}" for name, value in row.items() if value), flush=True)
    if rows:
        print(f"\n{machine()}, {name_of(given.device)}", flush=True)
        print("| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
