"""Timing a network on this machine: as an ONNX document with onnxruntime, or with torch on a processor or GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.export.onnx import to_onnx


@dataclass(frozen=True)
class LatencyTiming:
    """Median of the counted runs and the quartiles around it, in ms."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float


def time_network(network: nn.Module, input_shape: tuple[int, int, int], spec: LatencySpec) -> LatencyTiming:
    """Times a network in evaluation mode as ``spec`` says.

    Args:
        network: takes ``(batch, c, h, w)``; with ``runtime="torch"`` or ``"cuda"`` it is left on the device and in
            the dtype in which it was timed.
        input_shape: ``(c, h, w)``.
        spec: how to measure.

    Raises:
        InvalidInputError: this machine lacks what ``spec`` asks for, which may be memory.
    """
    try:
        if spec.runtime == "onnxruntime":
            return time_onnx(to_onnx(network, input_shape, spec.batch), spec)
        return time_torch(network, input_shape, spec)
    except (RuntimeError, MemoryError) as error:
        # torch says it in many ways, and has a class of its own only for devices.
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise InvalidInputError(
            f"batch {spec.batch} of {'x'.join(map(str, input_shape))} does not fit into the memory; take a smaller one."
        ) from error


def time_onnx(document: bytes, spec: LatencySpec) -> LatencyTiming:
    """Times an ONNX document on this machine's processor.

    Raises:
        InvalidInputError: ``spec`` asks for another runtime.
    """
    import onnxruntime

    if spec.runtime != "onnxruntime":
        raise InvalidInputError(
            f"an ONNX document cannot be timed with runtime {spec.runtime!r}; expected onnxruntime."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    # Untrained weights can drive activations into denormal numbers, which would time the weights, not the arch.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
    # A cell that cuts its input off is a constant: the exporter leaves such a document without inputs.
    rng = np.random.default_rng(0)
    feed = {entry.name: rng.standard_normal(entry.shape).astype(np.float32) for entry in session.get_inputs()}
    try:
        return _timed(lambda: session.run(None, feed), spec)
    finally:
        # onnxruntime leaves this thread's processor flag set, which would change trainings that follow.
        torch.set_flush_denormal(False)


def time_torch(network: nn.Module, input_shape: tuple[int, int, int], spec: LatencySpec) -> LatencyTiming:
    """Times a network with torch, operation by operation as it is, without compilation.

    On a CUDA device a run lasts from the call until the device has finished; the images are there already. Torch's
    settings for precision and for choosing algorithms stay as they are.

    Args:
        network: takes ``(batch, c, h, w)``; is left in evaluation mode, on the device and in the dtype of ``spec``.
        input_shape: ``(c, h, w)``.
        spec: how to measure, with ``runtime="torch"`` or ``"cuda"``.

    Raises:
        InvalidInputError: ``spec`` asks for onnxruntime, or for what this machine does not have.
    """
    if spec.runtime == "onnxruntime":
        raise InvalidInputError("torch cannot time with runtime 'onnxruntime'; expected torch or cuda.")
    on_cuda = spec.runtime == "cuda"
    if on_cuda and not torch.cuda.is_available():
        raise InvalidInputError("runtime 'cuda', but torch finds no CUDA device here; expected onnxruntime or torch.")
    device, dtype = torch.device("cuda" if on_cuda else "cpu"), getattr(torch, spec.dtype)
    images = torch.randn(spec.batch, *input_shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    network = network.to(device, dtype).eval()

    def run() -> None:
        network(images)
        if on_cuda:
            torch.cuda.synchronize(device)

    with torch.inference_mode(), _threads(spec.threads), _denormals_as_zero():
        try:
            run()
        except RuntimeError as error:
            # What torch says where a layer has no kernel for a dtype.
            if "not implemented for" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            raise InvalidInputError(
                f"dtype {spec.dtype!r} cannot be run by {spec.runtime} on this machine: {reason}. Take float32."
            ) from error
        return _timed(run, spec)


def _timed(run: Callable[[], object], spec: LatencySpec) -> LatencyTiming:
    milliseconds = []
    for _ in range(spec.warmup + spec.repeats):
        start = time.perf_counter()
        run()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    lower, median, upper = np.percentile(milliseconds[spec.warmup :], [25, 50, 75])
    return LatencyTiming(float(median), float(lower), float(upper))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """As for onnxruntime: the arch is timed, not its untrained weights."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
