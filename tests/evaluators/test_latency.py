"""The ONNX document computes what the network computes, and the strangest cells can be timed."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from gennas.evaluators.latency import LatencyEvaluator, LatencySpec, time_onnx, to_onnx
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
    time_onnx(to_onnx(network, (3, 2, 2)), LatencySpec(warmup=1, repeats=1))
    assert torch.tensor(1e-40).mul(1.0).item() > 0
    assert 5e-324 * 1.0 > 0
