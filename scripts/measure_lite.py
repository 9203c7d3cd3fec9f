"""Measures the latency of sub-networks of EfficientNet-Lite on this machine, for the tables `lite0`, `lite1`, `lite2`.

    python scripts/measure_lite.py --count 400

One onnxruntime thread, one image of the arch's own resolution, 1,000 classes. Archs are spread over the whole range of
costs. Other programs can only make a run longer, and time for which it waits for a core does not count: the latency is
the shortest of all runs. They are made in two halves, with other networks in between; how far the shortest of each are
apart says how repeatable the numbers are. Every measurement is appended to the CSV file that the tables read; repeating
the command goes on where it stopped.
"""

from __future__ import annotations

import csv
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import cpu_model
from scipy.stats import kendalltau, spearmanr

from gennas.arch import Arch
from gennas.evaluators.timing import onnx_document
from gennas.hardware.measure import onnx_run
from gennas.hardware.target import HardwareTarget
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.spread import spread_archs
from gennas.tasks import Task

SPACES = ("lite0", "lite1", "lite2")
#: As many logits as the published networks have.
TASK = Task("imagenet", (3, 224, 224), 1000)
#: Of each half: warm-up runs, and as many runs as take so long, but at least so many.
WARM_UP, SECONDS, RUNS = 4, 0.2, 15
#: Networks that are measured between the halves of one.
BETWEEN = 8
COLUMNS = ("space", "key", "half_1", "half_2", "runs")


def main(log: Path = Path("datasets/lite/latency_cpu.csv"), count: int = 400, seed: int = 0) -> None:
    """Measures ``count`` archs of each space, in turns, and says how repeatable the numbers are.

    Args:
        log: the file.
        count: archs of each space; 0 to measure none.
        seed: of the archs and of the networks' weights.
    """
    torch.set_num_threads(1)
    done = {(row["space"], row["key"]) for row in _rows(log)}
    waiting: deque[tuple[list[object], Callable[[], object], float, int]] = deque()
    plan = [one for one in _plan(count, seed) if (one[0].name, one[1].key) not in done]
    for number, (space, arch) in enumerate(plan, start=1):
        run = _run(space, arch, seed)
        waiting.append(([space.name, arch.key], run, *_half(run)))
        if len(waiting) > BETWEEN:
            _second(log, *waiting.popleft())
        if number % 20 == 0:
            print(f"{number}/{len(plan)}", flush=True)
    while waiting:
        _second(log, *waiting.popleft())
    _summary(log)


def _plan(count: int, seed: int) -> Iterator[tuple[ElasticSpace, Arch]]:
    spaces = [space for name in SPACES if isinstance(space := get_space(name), ElasticSpace)]
    # In turns, so that a measurement cut short has as many of each.
    for archs in zip(*(spread_archs(space, count, seed) for space in spaces), strict=True):
        yield from zip(spaces, archs, strict=True)


def _run(space: ElasticSpace, arch: Arch, seed: int) -> Callable[[], object]:
    torch.manual_seed(seed)
    task = TASK.resized(space.resolution(arch))
    shape = (3, space.resolution(arch), space.resolution(arch))
    return onnx_run(onnx_document(space.build(arch, task), shape, HardwareTarget()), 1)


def _half(run: Callable[[], object]) -> tuple[float, int]:
    """The shortest run in ms, and how many there were."""
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    begin = time.process_time()
    while len(times) < RUNS or time.process_time() - begin < SECONDS:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * min(times), len(times)


def _second(log: Path, names: list[object], run: Callable[[], object], first: float, runs: int) -> None:
    second, more = _half(run)
    is_new = not log.exists()
    with log.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow([*names, f"{first:.5g}", f"{second:.5g}", runs + more])


def _rows(log: Path) -> list[dict[str, str]]:
    if not log.exists():
        return []
    with log.open(newline="") as file:
        # A line that was cut short by a kill has too few fields.
        return [row for row in csv.DictReader(file) if all(row.get(name) for name in COLUMNS)]


def _summary(log: Path) -> None:
    frame = pd.DataFrame(_rows(log)).astype({"half_1": float, "half_2": float, "runs": int}).drop_duplicates("key")
    for name, own in frame.groupby("space"):
        latency = own[["half_1", "half_2"]].min(axis=1)
        apart, rho = np.abs(own.half_2 / own.half_1 - 1), spearmanr(own.half_1, own.half_2).statistic
        by_macs = kendalltau(_macs(str(name), map(str, own["key"])), latency).statistic
        print(
            f"{name}: {len(own)} archs of {latency.min():.2f} to {latency.max():.2f} ms; halves: Spearman {rho:.4f}, "
            f"difference median {apart.median():.2%}, 90th percentile {apart.quantile(0.9):.2%}; "
            f"Kendall tau of macs_m {by_macs:.3f}"
        )
    print(f"{cpu_model()}, onnxruntime {onnxruntime.__version__}, torch {torch.__version__}")


def _macs(name: str, keys: Iterable[str]) -> list[float]:
    space = get_space(name)
    return [space.costs(space.parse(key), TASK)["macs_m"] for key in keys]


if __name__ == "__main__":
    auto_cli(main)
