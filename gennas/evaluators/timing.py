"""Timing of networks on this machine: with onnxruntime or torch on the processor, or with torch on a GPU."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.export.onnx import to_onnx
from gennas.hardware.measure import LatencyTiming, onnx_run, timed
from gennas.hardware.target import HardwareTarget

#: Random images by which networks with random weights are quantised: their values matter little for the time.
CALIBRATION_IMAGES = 8
#: Compilers that torch.compile looks for; the environment variable CXX names another one.
_COMPILERS = ("g++", "clang++", "c++", "cl")


def check_available(target: HardwareTarget) -> None:
    """Finds out whether this machine has what a target needs, before anything costly is done.

    Raises:
        InvalidInputError: it has not; says what is missing.
    """
    if target.device == "cuda" and not torch.cuda.is_available():
        raise _unavailable(target, "torch finds no CUDA device here", "measure cpu, or run this where a GPU is")
    if target.device == "cuda" and target.precision == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise _unavailable(target, "this GPU does not support bfloat16", "measure cuda-float16")
    if target.device == "cpu" and target.runtime == "compile" and not _has_compiler():
        instead = "install g++, name another one by the environment variable CXX, or measure cpu-torch"
        raise _unavailable(target, "torch.compile needs a C++ compiler, and none is found", instead)
    cores = os.cpu_count() or 1
    if target.threads > cores:
        raise _unavailable(target, f"this machine has {cores} cores", "measure fewer threads")


def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ((named,) if named else _COMPILERS))


def _unavailable(target: HardwareTarget, why: str, instead: str) -> InvalidInputError:
    return InvalidInputError(f"latency_ms@{target.name} cannot be measured: {why}; {instead}.")


def time_network(
    network: nn.Module, input_shape: tuple[int, int, int], target: HardwareTarget, spec: LatencySpec
) -> LatencyTiming:
    """Times a network in evaluation mode.

    Args:
        network: takes images ``(batch, c, h, w)``; unless the runtime is onnxruntime it is left on the device and in
            the precision in which it was timed.
        input_shape: ``(c, h, w)``.
        target: what it runs on.
        spec: how to measure.

    Raises:
        InvalidInputError: this machine does not support ``target``, or has too little memory.
    """
    check_available(target)
    try:
        if target.runtime == "onnxruntime":
            document = onnx_document(network, input_shape, target, spec.batch)
            return time_onnx(document, target, spec)
        return _time_torch(network, input_shape, target, spec)
    except (RuntimeError, MemoryError) as error:
        # torch has an error class only for devices that are out of memory; on CPUs only the message says so.
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise InvalidInputError(
            f"a batch of {spec.batch} images of {'x'.join(map(str, input_shape))} does not fit in memory; "
            "reduce `batch`."
        ) from error


def onnx_document(
    network: nn.Module, input_shape: tuple[int, int, int], target: HardwareTarget, batch: int = 1
) -> bytes:
    """The ONNX model of a network with random weights, in the precision of a target; int8 from random images."""
    document = to_onnx(network, input_shape, batch)
    if target.precision != "int8":
        return document
    from gennas.export.block_precision import float_layers
    from gennas.export.int8 import quantised

    # As many as fill whole batches.
    count = batch * math.ceil(CALIBRATION_IMAGES / batch)
    images = np.random.default_rng(0).standard_normal((count, *input_shape), dtype=np.float32)
    return quantised(document, images, exclude=float_layers(network, document))


def time_onnx(document: bytes, target: HardwareTarget, spec: LatencySpec) -> LatencyTiming:
    """Times an ONNX model on this machine's processor, with as many threads as a target has."""
    try:
        return timed(onnx_run(document, target.threads), spec.seconds, target.threads)
    finally:
        # onnxruntime leaves the flag set in this thread, which would change later trainings.
        torch.set_flush_denormal(False)


def _time_torch(
    network: nn.Module, input_shape: tuple[int, int, int], target: HardwareTarget, spec: LatencySpec
) -> LatencyTiming:
    """Times a network with torch, in eager mode or compiled; the time for compiling is not part of it.

    On a CUDA device, a run is timed from the call until the device has finished; copying the images is not included.
    Torch's global settings of precision and algorithm selection are left as they are.
    """
    on_cuda = target.device == "cuda"
    device, dtype = torch.device(target.device), getattr(torch, target.precision)
    images = torch.randn(spec.batch, *input_shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    network = network.to(device, dtype).eval()
    forward: Callable[..., object] = network
    if target.runtime == "compile":
        # It keeps a few versions of a class's forward; networks beyond these would not be compiled, and nothing said.
        torch.compiler.reset()
        forward = torch.compile(network, dynamic=False)

    def run() -> None:
        forward(images)
        if on_cuda:
            torch.cuda.synchronize(device)

    with torch.inference_mode(), torch_threads(target.threads), _denormals_as_zero():
        _try(run, target)
        return timed(run, spec.seconds, None if on_cuda else target.threads)


def _try(run: Callable[[], None], target: HardwareTarget) -> None:
    """The first run, which compiles.

    Raises:
        InvalidInputError: a layer has no kernel for the precision, or the network cannot be compiled.
    """
    try:
        run()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "not implemented for" in str(error):
            raise _unavailable(
                target, reason, f"measure {HardwareTarget(target.device, target.runtime).name}"
            ) from error
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            plain = HardwareTarget(target.device, "torch", target.threads, target.precision)
            raise _unavailable(target, f"torch.compile failed: {reason}", f"measure {plain.name}") from error
        raise


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for the operations of torch, and as many as before afterwards."""
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
