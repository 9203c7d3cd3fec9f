"""How repeatable measured latencies are, and how much runtimes disagree on which network is faster.

    python scripts/bench_timing.py repeatability      # 3 minutes
    python scripts/bench_timing.py runtimes           # some minutes; --compiled 0 leaves out torch.compile

Repeatability: random NAS-Bench-201 cells are measured several times by turns, by the present protocol (until stable,
until precise, again where others disturb) and by the old one (10 runs to warm up, the median of 50), alone and beside
other processes that compute. Prints the median and the largest over cells of (longest / shortest - 1), and how far
the medians beside others are from those alone. Runtimes: Spearman's correlation between hardware names of this machine.
What else the machine did is printed, too.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import spearmanr

from gennas.arch import Arch
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import time_network
from gennas.export.onnx import to_onnx
from gennas.hardware.measure import onnx_run, timed
from gennas.hardware.target import HardwareTarget
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.tasks.base import image_shape

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")
SHAPE = image_shape(TASK, "measuring latency")
Run = Callable[[], object]


def old_median(run: Run) -> float:
    """The former protocol: 10 runs to warm up, the median of 50 runs, in ms."""
    times = []
    for _ in range(60):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[10:]))


def new_median(run: Run) -> float:
    """The present protocol, in ms."""
    return timed(run).median_ms


def _compute() -> None:
    while True:
        np.linalg.svd(np.random.default_rng(0).random((200, 200)))


@contextmanager
def others(count: int) -> Iterator[None]:
    """Processes that compute meanwhile."""
    processes = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def cells(count: int) -> list[Arch]:
    """Random cells whose output depends on their input."""
    rng, found = np.random.default_rng(0), dict[Arch, None]()
    while len(found) < count:
        arch = SPACE.sample(rng)
        if not SPACE.is_constant(arch):
            found[arch] = None
    return list(found)


def _eager(arch: Arch) -> Run:
    network = SPACE.build(arch, TASK).eval()
    images = torch.randn(1, *TASK.input_shape)

    def run() -> None:
        with torch.inference_mode():
            network(images)

    return run


def repeatability(archs: int = 8, times: int = 5, busy: Sequence[int] = (0, 1, 2)) -> None:
    """Measures and prints a table.

    Args:
        archs: cells.
        times: measurements of each.
        busy: numbers of other processes that compute.
    """
    torch.set_num_threads(1)
    print(f"{archs} cells, each {times} times by turns; {machine()}; load {os.getloadavg()[0]:.1f} before\n")
    print("| runtime | others | protocol | differs by | at most | from alone | s per cell |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    chosen = cells(archs)
    runs = {
        "onnxruntime": [onnx_run(to_onnx(SPACE.build(arch, TASK), SHAPE), 1) for arch in chosen],
        "torch": [_eager(arch) for arch in chosen],
    }
    for runtime, networks in runs.items():
        alone: dict[str, np.ndarray] = {}
        for count in busy:
            with others(count):
                time.sleep(1)
                for name, median_of in (("old", old_median), ("new", new_median)):
                    start = time.perf_counter()
                    found = np.array([[median_of(run) for run in networks] for _ in range(times)])  # (times, archs)
                    seconds = (time.perf_counter() - start) / found.size
                    differs = found.max(0) / found.min(0) - 1
                    medians = np.median(found, axis=0)
                    away = np.median(medians / alone.setdefault(name, medians) - 1)
                    numbers = f"{np.median(differs):.1%} | {differs.max():.1%} | {away:+.1%} | {seconds:.2f}"
                    print(f"| {runtime} | {count} | {name} | {numbers} |", flush=True)


def runtimes(archs: int = 30, compiled: int = 1) -> None:
    """Measures and prints correlations.

    Args:
        archs: cells.
        compiled: 0 leaves out torch.compile, which takes most of the time.
    """
    torch.set_num_threads(1)
    names = ["cpu", "cpu-2threads", "cpu-int8", "cpu-torch", *(["cpu-compile"] if compiled else [])]
    names = [
        name for name in names if (HardwareTarget.parse(name) or HardwareTarget()).threads <= (os.cpu_count() or 1)
    ]
    print(f"{archs} cells; {machine()}; load {os.getloadavg()[0]:.1f} before\n")
    found: dict[str, list[float]] = {name: [] for name in names}
    busy = 0
    for arch in cells(archs):
        for name in names:
            target = HardwareTarget.parse(name)
            assert target is not None
            timing = time_network(SPACE.build(arch, TASK), SHAPE, target, LatencySpec())
            found[name].append(timing.median_ms)
            busy += bool(timing.disturbance)
    print(f"| Spearman | {' | '.join(names)} | median ms |\n| --- |{' --- |' * (len(names) + 1)}")
    for name in names:
        row = [f"{spearmanr(found[name], found[other]).statistic:.2f}" for other in names]
        print(f"| {name} | {' | '.join(row)} | {np.median(found[name]):.3g} |")
    print(
        f"\n{busy} of {archs * len(names)} measurements while the machine was busy; load {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    auto_cli([repeatability, runtimes], as_positional=False)
