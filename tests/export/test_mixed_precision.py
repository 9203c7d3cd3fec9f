"""The loop that returns layers to float: it repairs a network that collapses, and no more than that."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.int8 import Quantiser, quantised
from gennas.export.mixed_precision import quantise
from gennas.export.onnx import to_onnx
from gennas.export.running import OnnxModel

SHAPE = (1, 8, 8)
#: Layers of the small network.
DEPTHWISE, POINTWISE = "/2/Conv", "/4/Conv"


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return ((images.reshape(-1, *SHAPE) - images.mean()) / images.std()).astype(np.float32), labels


def train() -> np.ndarray:
    return digits()[0][:1000]


def logits(document: bytes, images: np.ndarray) -> np.ndarray:
    return OnnxModel(document).logits(images)


def validated(document: bytes) -> float:
    images, labels = digits()
    return float((logits(document, images[1000:]).argmax(1) == labels[1000:]).mean())


@cache
def trained() -> nn.Module:
    """A depthwise and a pointwise convolution between others, trained to 0.9."""
    torch.manual_seed(0)
    depthwise, pointwise = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
    body = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), depthwise, nn.ReLU(), pointwise, nn.ReLU()]
    network = nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))
    images, labels = torch.from_numpy(train()), torch.from_numpy(digits()[1][:1000])
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network


def stretched(scale: float) -> bytes:
    """The same function, but one channel of the depthwise convolution is larger, and its successor scales it back."""
    network = deepcopy(trained())
    with torch.no_grad():
        network[2].weight[3] *= scale
        network[2].bias[3] *= scale
        network[4].weight[:, 3] /= scale
    return to_onnx(network, SHAPE)


def float_kernels(document: bytes) -> list[tuple[int, ...]]:
    tensors = map(numpy_helper.to_array, onnx.load_from_string(document).graph.initializer)
    return sorted(tensor.shape for tensor in tensors if tensor.ndim > 1 and tensor.dtype == np.float32)


def test_a_tame_network_is_quantised_whole() -> None:
    found = quantise(stretched(1), train()[:200], validated)
    assert found.is_int8
    assert found.excluded == ()
    assert found.drop <= 0.01
    assert len(found.attempts) == 2
    assert {attempt.per_channel for attempt in found.attempts} == {True, False}
    assert found.accuracy == max(attempt.accuracy for attempt in found.attempts) == validated(found.document)
    assert float_kernels(found.document) == []


def test_a_network_that_collapses_is_repaired() -> None:
    wild = stretched(1e4)
    np.testing.assert_allclose(logits(wild, train()), logits(stretched(1), train()), rtol=1e-3, atol=1e-3)
    exact = validated(wild)
    assert exact > 0.9
    collapsed = [validated(quantised(wild, train()[:200], per_channel=per_channel)) for per_channel in (True, False)]
    assert max(collapsed) < 0.5
    found = quantise(wild, train()[:200], validated)
    assert found.float_accuracy == exact
    assert found.is_int8
    assert found.drop <= 0.01
    assert validated(found.document) == found.accuracy
    assert set(found.excluded) == {DEPTHWISE, POINTWISE}
    assert float_kernels(found.document) == [(8, 1, 3, 3), (8, 8, 1, 1)]
    # All ways to quantise it whole came first, and failed.
    whole = [attempt for attempt in found.attempts if not attempt.excluded]
    assert len(whole) == 6
    assert max(attempt.accuracy for attempt in whole) < 0.5


def test_all_that_is_tried_is_the_same_again() -> None:
    first, second = (quantise(stretched(1e3), train()[:100], validated) for _ in range(2))
    assert first == second


def eight_layers() -> bytes:
    torch.manual_seed(0)
    layers = [layer for _ in range(8) for layer in (nn.Conv2d(2, 2, 1), nn.Tanh())]
    return to_onnx(nn.Sequential(nn.Conv2d(1, 2, 1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), SHAPE)


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 6, 8])
def test_no_more_layers_return_than_must(needed: int) -> None:
    """Accuracy counts the layers in float, so that the number that is needed is known."""
    document = eight_layers()

    def rising(model: bytes) -> float:
        return 1.0 if model == document else 0.1 * min(len(float_kernels(model)), needed) + 0.9 - 0.1 * needed

    convolutions = [name for name in Quantiser(document).layers if name.endswith("Conv")]
    others = [name for name in Quantiser(document).layers if name not in convolutions]
    found = quantise(document, train()[:20], rising, max_drop=0.1 + 1e-9, exclude=others)
    assert found.is_int8
    assert len(float_kernels(found.document)) == needed
    assert set(found.excluded) >= set(others)
    assert len(found.attempts) <= 6 + 8  # all ways to quantise it whole, then doubling and halving


def test_where_nothing_helps_the_float_network_is_the_answer() -> None:
    document = eight_layers()
    found = quantise(document, train()[:20], lambda model: float(model == document))
    assert not found.is_int8
    assert found.document == document
    assert found.accuracy == found.float_accuracy == 1
    assert found.drop == 0
    assert found.excluded == ()
    assert max(len(attempt.excluded) for attempt in found.attempts) == found.layers - 1
    assert str(found).startswith("float32: INT8 does not keep the accuracy of 1.0000 (the best of ")


def test_with_all_layers_excluded_nothing_is_tried() -> None:
    document = eight_layers()
    found = quantise(document, train()[:20], lambda model: 0.5, exclude=Quantiser(document).layers)
    assert found.document == document
    assert found.attempts == ()
    assert "no layer can be quantised" in str(found)


def test_the_worst_layer_returns_first() -> None:
    network = nn.Sequential(*[nn.Conv2d(4, 4, 1, bias=False) for _ in range(3)], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in network[:3]:
            nn.init.orthogonal_(layer.weight[:, :, 0, 0])
        network[1].weight[0, 0] = 300.0  # per tensor, all other weights of the layer are rounded to 0
    document = to_onnx(nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), network), SHAPE)
    found = quantise(document, train()[:20], lambda model: float(model == document))
    repaired = [attempt.excluded for attempt in found.attempts if attempt.excluded]
    assert repaired[0] == ("/1/1.1/Conv",)


@pytest.mark.parametrize("max_drop", [-0.1, 1.0, float("nan")])
def test_an_impossible_drop(max_drop: float) -> None:
    with pytest.raises(InvalidInputError, match=r"max_drop.*must be in \[0, 1\)"):
        quantise(eight_layers(), train()[:20], validated, max_drop=max_drop)
