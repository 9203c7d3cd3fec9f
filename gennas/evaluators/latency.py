"""Latency of a network on this machine, timed with onnxruntime."""

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape


@dataclass(frozen=True)
class LatencySpec:
    """How latency is measured; part of what identifies a measurement.

    Args:
        threads: onnxruntime's intra-op threads.
        batch: images per run.
        warmup: runs that are not counted.
        repeats: counted runs; the latency is their median.
    """

    threads: int = 1
    batch: int = 1
    warmup: int = 10
    repeats: int = 50


@dataclass(frozen=True)
class LatencyTiming:
    """Median of the counted runs and the quartiles around it, in ms."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float


def to_onnx(network: nn.Module, input_shape: tuple[int, int, int], batch: int = 1) -> bytes:
    """A network in evaluation mode as an ONNX document with input ``images (batch, c, h, w)`` and output ``logits``.

    The TorchScript exporter is used on purpose: the graphs of the newer one ran equally fast and took ten
    times as long to make.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(batch, *input_shape),),
            f"{folder}/network.onnx",
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
        )
        return Path(folder, "network.onnx").read_bytes()


def time_onnx(document: bytes, spec: LatencySpec) -> LatencyTiming:
    """Times an ONNX document on this machine's CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    # Untrained weights can drive activations into denormal numbers, which would time the weights, not the arch.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
    # A cell that cuts its input off is a constant: the exporter leaves such a document without inputs.
    rng = np.random.default_rng(0)
    feed = {entry.name: rng.standard_normal(entry.shape).astype(np.float32) for entry in session.get_inputs()}
    milliseconds = []
    try:
        for _ in range(spec.warmup + spec.repeats):
            start = time.perf_counter()
            session.run(None, feed)
            milliseconds.append(1e3 * (time.perf_counter() - start))
    finally:
        # onnxruntime leaves this thread's processor flag set, which would change trainings that follow.
        torch.set_flush_denormal(False)
    lower, median, upper = np.percentile(milliseconds[spec.warmup :], [25, 50, 75])
    return LatencyTiming(float(median), float(lower), float(upper))


class LatencyEvaluator(Evaluator):
    """Measures ``latency_ms@cpu`` of archs, with random weights, on this machine.

    Args:
        space: builds the networks.
        spec: how to measure.
    """

    source = "measured"

    def __init__(self, space: Space, spec: LatencySpec | None = None) -> None:
        self.space = space
        self.spec = spec or LatencySpec()

    def timing(self, arch: Arch, *, task: Task, seed: int = 0) -> LatencyTiming:
        """Median and quartiles for one arch."""
        torch.manual_seed(seed)
        return time_onnx(
            to_onnx(self.space.build(arch, task), image_shape(task, "measuring latency"), self.spec.batch), self.spec
        )

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {"latency_ms@cpu": self.timing(arch, task=task, seed=seed).median_ms}
