"""The ONNX document computes what the network computes, and the strangest cells can be timed."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from gennas.errors import InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.timing import time_network, time_onnx, time_torch
from gennas.export.onnx import to_onnx
from gennas.spaces import Space, get_space
from gennas.tasks import get_task

SPEC = LatencySpec(warmup=1, repeats=5)


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


def test_onnx_computes_the_same_logits(space: Space) -> None:
    arch = space.parse("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    torch.manual_seed(0)
    network = space.build(arch, get_task("cifar10")).eval()
    images = torch.randn(3, 3, 32, 32)
    session = onnxruntime.InferenceSession(to_onnx(network, (3, 32, 32), batch=3))
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(logits, network(images).detach().numpy(), atol=1e-5)


def test_constant_network_of_the_all_none_cell_is_timed(space: Space) -> None:
    arch = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    values = LatencyEvaluator(space, SPEC).evaluate(arch, task=get_task("cifar10"))
    assert list(values) == ["latency_ms@cpu"]
    assert values["latency_ms@cpu"] > 0


def test_quartiles_are_ordered_and_a_larger_network_is_slower(space: Space) -> None:
    key = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    task = get_task("cifar10")
    small = LatencyEvaluator(space, SPEC).timing(space.parse(key), task=task)
    assert small.lower_quartile_ms <= small.median_ms <= small.upper_quartile_ms
    large_space = get_space("nasbench201", "channels=32,cells=2")
    large = time_onnx(to_onnx(large_space.build(large_space.parse(key), task), task.input_shape), SPEC)
    assert large.lower_quartile_ms > small.upper_quartile_ms


def test_timing_leaves_small_numbers_as_it_found_them() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    time_onnx(to_onnx(network, (3, 2, 2)), LatencySpec(warmup=1, repeats=3))
    assert torch.tensor(1e-40).mul(1.0).item() > 0
    assert 5e-324 * 1.0 > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threads": 0}, "threads is 0; must be an integer >= 1"),
        ({"batch": -1}, "batch is -1"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"warmup": -1}, "warmup is -1; must be an integer >= 0"),
        ({"repeats": 2}, "repeats is 2; must be an integer >= 3"),
        ({"repeats": True}, "repeats is True"),
        ({"runtime": "tensorrt"}, "must be one of onnxruntime, torch, cuda"),
        ({"dtype": "int8", "runtime": "torch"}, "must be one of float32, bfloat16, float16"),
        ({"dtype": "bfloat16"}, "must be float32 with runtime onnxruntime"),
    ],
)
def test_invalid_specs(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LatencySpec(**values)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_torch_follows_the_spec_and_restores_its_settings(dtype: str) -> None:
    seen: list[tuple[torch.dtype, tuple[int, ...], int, bool]] = []

    class Spy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            state = torch.get_num_threads(), torch.is_inference_mode_enabled()
            seen.append((images.dtype, tuple(images.shape), *state))
            return images

    spec = LatencySpec(runtime="torch", dtype=dtype, threads=2, batch=3, warmup=2, repeats=4)
    threads = torch.get_num_threads()
    timing = time_torch(Spy(), (1, 4, 5), spec)
    # One run to check that it works, then warm-up and timed runs.
    assert seen == [(getattr(torch, dtype), (3, 1, 4, 5), 2, True)] * 7
    assert 0 < timing.lower_quartile_ms <= timing.median_ms <= timing.upper_quartile_ms
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
    assert torch.tensor(1e-40).mul(1.0).item() > 0


def test_both_runtimes_of_the_processor_order_networks_alike(space: Space) -> None:
    large_space, task = get_space("nasbench201", "channels=32,cells=2"), get_task("cifar10")
    key = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    for runtime in ("onnxruntime", "torch"):
        spec = LatencySpec(warmup=1, repeats=5, runtime=runtime)
        small, large = (LatencyEvaluator(s, spec).timing(s.parse(key), task=task) for s in (space, large_space))
        assert large.lower_quartile_ms > small.upper_quartile_ms


def test_the_target_of_the_metric(space: Space) -> None:
    arch = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    spec = LatencySpec(warmup=0, repeats=3, runtime="torch")
    task = get_task("cifar10")
    assert list(LatencyEvaluator(space, spec).evaluate(arch, task=task)) == ["latency_ms@cpu"]
    assert list(LatencyEvaluator(space, spec, "mine").evaluate(arch, task=task)) == ["latency_ms@mine"]
    assert LatencyEvaluator(space, LatencySpec(runtime="cuda")).hardware == "cuda"


def test_a_layer_without_a_kernel_for_the_dtype() -> None:
    class Unlike(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("\"erfinv_vml_cpu\" not implemented for 'Half'")

    class Defect(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a screw is loose")

    spec = LatencySpec(runtime="torch", dtype="float16")
    with pytest.raises(
        InvalidInputError, match=r"runtime 'torch' does not support dtype 'float16' on this machine.*Use float32"
    ):
        time_torch(Unlike(), (1, 2, 2), spec)
    with pytest.raises(RuntimeError, match="a screw is loose"):
        time_network(Defect(), (1, 2, 2), spec)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_batch_that_does_not_fit_in_memory(runtime: str) -> None:
    spec = LatencySpec(runtime=runtime, batch=10**12)
    with pytest.raises(InvalidInputError, match="batch of 1000000000000 images of 3x32x32 does not fit in memory"):
        time_network(nn.Flatten(), (3, 32, 32), spec)


def test_timing_functions_reject_other_runtimes() -> None:
    document = to_onnx(nn.Flatten(), (1, 2, 2))
    with pytest.raises(InvalidInputError, match="an ONNX model cannot be timed with runtime 'torch'"):
        time_onnx(document, LatencySpec(runtime="torch"))
    with pytest.raises(InvalidInputError, match="does not support runtime 'onnxruntime'"):
        time_torch(nn.Flatten(), (1, 2, 2), LatencySpec())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none() -> None:
    with pytest.raises(InvalidInputError, match="torch finds no CUDA device here; use onnxruntime or torch"):
        time_network(nn.Flatten(), (1, 2, 2), LatencySpec(runtime="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_cuda_times_until_the_device_has_finished(dtype: str) -> None:
    # Half a millisecond of work at the least on any device, launched in microseconds.
    network = nn.Sequential(*(nn.Conv2d(256, 256, 3, padding=1) for _ in range(20)))
    timing = time_network(network, (256, 64, 64), LatencySpec(runtime="cuda", dtype=dtype, batch=64, repeats=5))
    assert timing.median_ms > 0.5
