"""Networks are timed as their target's name says, and what a machine lacks is said before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import check_available, onnx_document, time_network, time_onnx
from gennas.export.onnx import to_onnx
from gennas.hardware.target import HardwareTarget
from gennas.spaces import get_space
from gennas.tasks import get_task

SPEC, CPU, TORCH = LatencySpec(seconds=0.05), HardwareTarget(), HardwareTarget(runtime="torch")
TASK = get_task("cifar10")
DENSE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize("target", [CPU, TORCH, HardwareTarget(precision="int8")])
def test_a_larger_network_is_slower(target: HardwareTarget) -> None:
    timings = []
    for skeleton in ("channels=4,cells=1", "channels=32,cells=2"):
        space = get_space("nasbench201", skeleton)
        timings.append(time_network(space.build(space.parse(DENSE), TASK), TASK.input_shape, target, SPEC))
    small, large = timings
    assert 0 < small.lower_quartile_ms <= small.median_ms <= small.upper_quartile_ms <= small.p90_ms
    assert large.lower_quartile_ms > small.upper_quartile_ms


def test_int8_models_compute_in_integers() -> None:
    space = get_space("nasbench201", "channels=4,cells=1")
    network = space.build(space.parse(DENSE), TASK)
    document = onnx_document(network, (3, 32, 32), HardwareTarget(precision="int8"), batch=3)
    operators = {node.op_type for node in onnx.load_from_string(document).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert onnx_document(network, (3, 32, 32), CPU) == to_onnx(network, (3, 32, 32))


def test_timing_leaves_small_numbers_as_it_found_them() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    time_onnx(to_onnx(network, (3, 2, 2)), CPU, SPEC)
    assert torch.tensor(1e-40).mul(1.0).item() > 0
    assert 5e-324 * 1.0 > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_torch_follows_the_target_and_restores_its_settings(precision: str) -> None:
    seen: set[tuple[torch.dtype, tuple[int, ...], int, bool]] = set()

    class Spy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            state = torch.get_num_threads(), torch.is_inference_mode_enabled()
            seen.add((images.dtype, tuple(images.shape), *state))
            return images

    threads = torch.get_num_threads()
    time_network(Spy(), (1, 4, 5), HardwareTarget("cpu", "torch", 2, precision), LatencySpec(batch=3, seconds=0.05))
    assert seen == {(getattr(torch, precision), (3, 1, 4, 5), 2, True)}
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
    assert torch.tensor(1e-40).mul(1.0).item() > 0


def test_compiled_networks_are_compiled_however_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        compiled.append(len(list(graph.graph.nodes)))
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: real(network, dynamic=dynamic, backend=backend))
    target, before = HardwareTarget(runtime="compile"), torch._dynamo.config.recompile_limit
    for width in range(1, before + 3):
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, width), nn.Linear(width, 2))
        time_network(network, (1, 2, 2), target, LatencySpec(seconds=0.001))
    assert len(compiled) == before + 2


def test_a_network_that_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        raise ValueError("no such register")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: real(network, dynamic=dynamic, backend=backend))
    with pytest.raises(InvalidInputError, match=r"cpu-compile cannot be measured: torch.compile failed.*cpu-torch"):
        time_network(nn.Linear(2, 2), (1, 2, 2), HardwareTarget(runtime="compile"), SPEC)


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    message = r"latency_ms@cpu-compile cannot be measured: torch.compile needs a C\+\+ compiler, and none is found"
    with pytest.raises(InvalidInputError, match=message):
        check_available(HardwareTarget(runtime="compile"))
    compiler = tmp_path / "mine"
    compiler.write_text("")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", "mine")
    check_available(HardwareTarget(runtime="compile"))


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    check_available(HardwareTarget(threads=2))
    with pytest.raises(InvalidInputError, match="latency_ms@cpu-3threads cannot be measured: this machine has 2 cores"):
        check_available(HardwareTarget(threads=3))


def test_a_layer_without_a_kernel_for_the_precision() -> None:
    class Unlike(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("\"erfinv_vml_cpu\" not implemented for 'Half'")

    class Defect(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a screw is loose")

    half = HardwareTarget(runtime="torch", precision="float16")
    with pytest.raises(InvalidInputError, match=r"cpu-torch-float16 cannot be measured: .*'Half'; measure cpu-torch\."):
        time_network(Unlike(), (1, 2, 2), half, SPEC)
    with pytest.raises(RuntimeError, match="a screw is loose"):
        time_network(Defect(), (1, 2, 2), half, SPEC)


@pytest.mark.parametrize("target", [CPU, TORCH])
def test_a_batch_that_does_not_fit_in_memory(target: HardwareTarget) -> None:
    with pytest.raises(InvalidInputError, match="batch of 1000000000000 images of 3x32x32 does not fit in memory"):
        time_network(nn.Flatten(), (3, 32, 32), target, LatencySpec(batch=10**12))


def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(
        InvalidInputError, match="latency_ms@cuda-float16 cannot be measured: torch finds no CUDA device"
    ):
        time_network(nn.Flatten(), (1, 2, 2), HardwareTarget("cuda", "torch", precision="float16"), SPEC)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: False)
    with pytest.raises(InvalidInputError, match="this GPU does not support bfloat16; measure cuda-float16"):
        check_available(HardwareTarget("cuda", "torch", precision="bfloat16"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_cuda_times_until_the_device_has_finished(precision: str) -> None:
    # Half a millisecond of work at the least on any device, launched in microseconds.
    network = nn.Sequential(*(nn.Conv2d(256, 256, 3, padding=1) for _ in range(20)))
    target = HardwareTarget("cuda", "torch", precision=precision)
    timing = time_network(network, (256, 64, 64), target, LatencySpec(batch=64))
    assert timing.median_ms > 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": -1}, "latency.batch is -1; must be an integer >= 1"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"batch": True}, "batch is True"),
        ({"seconds": 0}, "latency.seconds is 0; must be a number above 0"),
        ({"seconds": np.nan}, "seconds is nan"),
        ({"seconds": np.inf}, "seconds is inf"),
    ],
)
def test_invalid_specs(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LatencySpec(**values)
