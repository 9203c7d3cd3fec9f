"""Timing of networks on this machine: with onnxruntime, or with torch on a processor or GPU."""

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
    """Median and quartiles of the timed runs, in ms."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float


def time_network(network: nn.Module, input_shape: tuple[int, int, int], spec: LatencySpec) -> LatencyTiming:
    """Times a network in evaluation mode.

    Args:
        network: takes images ``(batch, c, h, w)``; with runtime ``torch`` or ``cuda`` it is left on the device and in
            the dtype in which it was timed.
        input_shape: ``(c, h, w)``.
        spec: how to measure.

    Raises:
        InvalidInputError: this machine does not support ``spec``, or has too little memory.
    """
    try:
        if spec.runtime == "onnxruntime":
            return time_onnx(to_onnx(network, input_shape, spec.batch), spec)
        return time_torch(network, input_shape, spec)
    except (RuntimeError, MemoryError) as error:
        # torch has an error class only for devices that are out of memory; on CPUs only the message says so.
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise InvalidInputError(
            f"a batch of {spec.batch} images of {'x'.join(map(str, input_shape))} does not fit in memory; "
            "reduce `batch`."
        ) from error


def time_onnx(document: bytes, spec: LatencySpec) -> LatencyTiming:
    """Times an ONNX model on this machine's processor.

    Raises:
        InvalidInputError: the runtime of ``spec`` is not onnxruntime.
    """
    import onnxruntime

    if spec.runtime != "onnxruntime":
        raise InvalidInputError(f"an ONNX model cannot be timed with runtime {spec.runtime!r}; use onnxruntime.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    # With untrained weights activations can become denormal, which would slow down some archs at random.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
    # If the output does not depend on the input, the exported model has no inputs.
    rng = np.random.default_rng(0)
    feed = {entry.name: rng.standard_normal(entry.shape).astype(np.float32) for entry in session.get_inputs()}
    try:
        return _timed(lambda: session.run(None, feed), spec)
    finally:
        # onnxruntime leaves the flag set in this thread, which would change later trainings.
        torch.set_flush_denormal(False)


def time_torch(network: nn.Module, input_shape: tuple[int, int, int], spec: LatencySpec) -> LatencyTiming:
    """Times a network with torch in eager mode.

    On a CUDA device, a run is timed from the call until the device has finished; copying the images is not included.
    Torch's global settings of precision and algorithm selection are left as they are.

    Args:
        network: takes images ``(batch, c, h, w)``; it is left in evaluation mode, on the device and in the dtype of
            ``spec``.
        input_shape: ``(c, h, w)``.
        spec: how to measure; its runtime must be ``torch`` or ``cuda``.

    Raises:
        InvalidInputError: the runtime is onnxruntime, or this machine does not support ``spec``.
    """
    if spec.runtime == "onnxruntime":
        raise InvalidInputError("time_torch() does not support runtime 'onnxruntime'; use torch or cuda.")
    on_cuda = spec.runtime == "cuda"
    if on_cuda and not torch.cuda.is_available():
        raise InvalidInputError("runtime is 'cuda', but torch finds no CUDA device here; use onnxruntime or torch.")
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
            # The message of torch if a layer has no kernel for the dtype.
            if "not implemented for" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            raise InvalidInputError(
                f"runtime {spec.runtime!r} does not support dtype {spec.dtype!r} on this machine: {reason}. "
                "Use float32."
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
    """Flushes denormals to zero, as for onnxruntime."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
