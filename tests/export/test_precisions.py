"""Which precision is recommended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gennas.export.int8 import quantised
from gennas.export.mixed_precision import Attempt, Quantised
from gennas.export.onnx import to_onnx
from gennas.export.precisions import Comparison, compare

SHAPE = (8, 24, 24)
FOUND = Quantised(b"", Attempt("min-max", True, (), 0.9), 0.9, (), 5)


def network(repeats: int) -> bytes:
    torch.manual_seed(0)
    layers = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(repeats)]
    return to_onnx(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), SHAPE)


@pytest.mark.parametrize(
    ("ratio", "recommended"),
    [((0.5, 0.6, 0.7), "int8"), ((0.8, 0.95, 1.01), "float32"), ((1.5, 2.0, 2.1), "float32")],
)
def test_int8_is_recommended_where_it_is_faster_for_sure(ratio: tuple[float, float, float], recommended: str) -> None:
    compared = Comparison(FOUND, 1.0, ratio[1], ratio)
    assert compared.recommended == recommended
    assert f"{ratio[1]:.2f} times as long" in compared.reason


def test_what_loses_accuracy_is_not_recommended_however_fast() -> None:
    document = network(1)
    compared = compare(document, Quantised(document, None, 0.9, (), 5), repeats=5)
    assert compared.recommended == "float32"
    assert compared.int8_ms is None
    assert compared.float_ms > 0
    assert compared.reason == "INT8 does not keep the accuracy"


@pytest.mark.parametrize(("first", "second", "recommended"), [(1, 12, "float32"), (12, 1, "int8")])
def test_the_faster_model_wins(first: int, second: int, recommended: str) -> None:
    """The same precision, but one has twelve times the layers."""
    compared = compare(network(first), Quantised(network(second), FOUND.chosen, 0.9, (), 5), repeats=30)
    assert compared.recommended == recommended
    assert compared.ratio is not None
    assert (compared.ratio[1] > 2) == (recommended == "float32")
    assert compared.int8_ms == pytest.approx(compared.float_ms * compared.ratio[1], rel=0.5)


def test_a_network_that_ignores_its_images_is_timed_too() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(1, 3)

    compared = compare(to_onnx(Constant(), SHAPE), Quantised(b"", None, 0.1, (), 0), repeats=3)
    assert compared.float_ms > 0


def test_timing_leaves_denormals_alone() -> None:
    document = network(1)
    small = quantised(document, np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32))
    compare(document, Quantised(small, FOUND.chosen, 0.9, (), 5), repeats=3)
    assert float(torch.tensor(1e-40) * 1) > 0
