"""Latency predicted for other networks than those a predictor learnt from, against what this machine measures.

    python scripts/bench_latency_elsewhere.py

For every deployment (side of the images, cells, channels), random NAS-Bench-201 cells that nothing was fitted to are
measured, and predicted in three ways: as learnt (what gennas did before), scaled by multiply-adds, and after a
calibration of this machine by ten networks. Prints a Markdown table: the median of predicted / measured, and the share
of measurements within the 90 % interval. The learnt `cpu` is a processor, too, but another one.
"""

from collections.abc import Sequence
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.evaluators.calibration import this_machine
from gennas.evaluators.latency import LatencyEvaluator
from gennas.graph import GraphBatch
from gennas.hardware.target import HardwareTarget
from gennas.predictors.base import Predictor
from gennas.predictors.deployment import deploy
from gennas.predictors.quality import Z90
from gennas.spaces import get_space
from gennas.tasks import get_task

#: Side of the images, cells, channels.
DEPLOYMENTS = ((32, 5, 16), (16, 5, 16), (64, 5, 16), (96, 2, 16), (224, 1, 16), (32, 1, 16), (32, 2, 4), (32, 1, 32))


def main(deployments: Sequence[tuple[int, int, int]] = DEPLOYMENTS, archs: int = 10) -> None:
    """Measures and prints.

    Args:
        deployments: side, cells, channels.
        archs: random cells for each.
    """
    torch.set_num_threads(1)
    checkpoint = Checkpoint("nasbench201")
    config, metric = checkpoint.config("predictor"), "latency_ms@cpu"
    print(f"{archs} cells, onnxruntime, one thread; {machine()}\n")
    print("| pixels | cells | channels | measured ms | as learnt | in 90 % | scaled | in 90 % | calibrated | in 90 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for side, cells, channels in deployments:
        space, task = (
            get_space("nasbench201", f"channels={channels},cells={cells}"),
            get_task("digits", image_size=side),
        )
        rng = np.random.default_rng(7)
        chosen: list[Arch] = []
        while len(chosen) < archs:
            arch = space.sample(rng)
            chosen += [] if space.is_constant(arch) else [arch]
        timer = LatencyEvaluator(space)
        here = this_machine(checkpoint, space, task, [HardwareTarget()], "again")
        measured = np.array([timer.timing(arch, HardwareTarget(), task=task).median_ms for arch in chosen])
        parts = [f"| {side} | {cells} | {channels} | {measured.min():.3g} to {measured.max():.3g}"]
        scaled, _ = deploy(checkpoint.predictor, config, space, task, "cpu")
        calibrated, _ = deploy(checkpoint.predictor, config, space, task, "cpu", here=here)
        for predictor in (checkpoint.predictor, scaled.predictor, calibrated.predictor):
            middle, lower, upper = interval(predictor, chosen, metric)
            inside = (lower <= measured) & (measured <= upper)
            parts.append(f"{np.median(middle / measured):.2f} | {inside.mean():.0%}")
        print(" | ".join(parts) + " |", flush=True)


def interval(predictor: Predictor, archs: Sequence[Arch], metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, lower and upper end of the 90 % interval of a metric, each ``(N,)``."""
    with torch.inference_mode():
        mean, std = predictor.score(GraphBatch.from_archs(archs, get_space("nasbench201").template))
        at = [mean, mean - Z90 * std, mean + Z90 * std]
        column = predictor.metrics.index(metric)
        middle, lower, upper = (predictor.scores.value(one)[:, column].double().numpy() for one in at)
    return middle, lower, upper


if __name__ == "__main__":
    with TemporaryDirectory() as home:
        # Calibrations of a benchmark are not those of the user.
        import os

        os.environ["GENNAS_HOME"] = home
        auto_cli(main, as_positional=False)
