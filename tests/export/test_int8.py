"""Quantised models: what becomes 8-bit, what stays, and that nothing else happens."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.int8 import METHODS, Quantiser, _quiet, quantised
from gennas.export.onnx import to_onnx

SHAPE = (3, 12, 12)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 5))


def images(n: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *SHAPE)).astype(np.float32)


def logits(document: bytes, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(document, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: one[None]})[0] for one in batch])


def weights(document: bytes) -> dict[str, np.ndarray]:
    model = onnx.load_from_string(document)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.fixture(scope="module")
def document() -> bytes:
    return to_onnx(network(), SHAPE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_logits_stay_close(document: bytes, method: str, per_channel: bool) -> None:
    quantiser = Quantiser(document)
    small = quantiser.quantised(quantiser.calibrated(images(), method), per_channel=per_channel)  # type: ignore[arg-type]
    unseen = images(seed=1)
    exact, rounded = logits(document, unseen), logits(small, unseen)
    error = np.abs(exact - rounded).max() / exact.std()
    assert 0 < error < 0.2


@pytest.mark.parametrize("per_channel", [True, False])
def test_all_weights_are_bytes(document: bytes, per_channel: bool) -> None:
    tensors = weights(quantised(document, images(), per_channel=per_channel))
    kernels = [tensor for tensor in tensors.values() if tensor.ndim in (2, 4)]
    assert [(kernel.dtype, kernel.size) for kernel in kernels] == [
        (np.dtype("int8"), size) for size in (16 * 27, 8 * 144, 40)
    ]
    nodes = onnx.load_from_string(quantised(document, images(), per_channel=per_channel)).graph.node
    scales = [tensors[node.input[1]] for node in nodes if node.input[0] in tensors and tensors[node.input[0]].ndim > 1]
    assert sorted(scale.size for scale in scales) == ([5, 8, 16] if per_channel else [1, 1, 1])


def test_a_layer_that_is_excluded_stays_as_it_was(document: bytes) -> None:
    first = Quantiser(document).layers[0]
    tensors = weights(quantised(document, images(), exclude=[first]))
    kernels = [tensor for tensor in tensors.values() if tensor.ndim == 4]
    assert sorted(str(kernel.dtype) for kernel in kernels) == ["float32", "int8"]


def test_without_any_layer_it_computes_what_it_did(document: bytes) -> None:
    same = quantised(document, images(), exclude=Quantiser(document).layers)
    np.testing.assert_allclose(logits(same, images()), logits(document, images()), rtol=1e-5, atol=1e-6)


def test_images_need_not_fill_batches() -> None:
    torch.manual_seed(0)
    by_eight = to_onnx(network(), SHAPE, batch=8)
    small = quantised(by_eight, images(5))
    session = onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"])
    assert session.run(None, {"images": images(8)})[0].shape == (8, 5)
    # The last batch repeats images, which changes no range.
    one_by_one = weights(quantised(to_onnx(network(), SHAPE), images(5)))
    assert weights(small)["images_scale"] == one_by_one["images_scale"]


def test_a_network_that_ignores_its_images_is_left_alone() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(1, 3)

    constant = to_onnx(Constant(), SHAPE)
    assert quantised(constant, images()) == constant


def test_every_process_gives_the_same_file(document: bytes, tmp_path: Path) -> None:
    (tmp_path / "float.onnx").write_bytes(document)
    np.save(tmp_path / "images.npy", images())
    code = (
        "import sys, numpy, pathlib; from gennas.export.int8 import quantised; folder = pathlib.Path(sys.argv[1]);"
        "sys.stdout.buffer.write(quantised((folder / 'float.onnx').read_bytes(), numpy.load(folder / 'images.npy')))"
    )
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, check=True)
        assert done.stdout == quantised(document, images())
        assert done.stderr == b""


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_said_and_nothing_stays(
    document: bytes, method: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    quantiser = Quantiser(document)
    quantiser.quantised(quantiser.calibrated(images(), method))  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((0, *SHAPE), np.float32), r"shape \(0, 3, 12, 12\); expected \(n, 3, 12, 12\)"),
        (np.zeros((4, 3, 8, 12), np.float32), "expected"),
        (np.zeros(SHAPE, np.float32), "expected"),
        (np.full((4, *SHAPE), np.nan, np.float32), "finite"),
    ],
)
def test_images_that_cannot_be_used(document: bytes, wrong: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        quantised(document, wrong)


def test_a_layer_that_does_not_exist(document: bytes) -> None:
    with pytest.raises(InvalidInputError, match="'nothing' is not the name of a layer; expected some of /0/Conv"):
        quantised(document, images(), exclude=["nothing"])


def test_quantising_leaves_the_root_logger_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    with _quiet():
        logging.info("onnxruntime logs so, which adds a handler")
        assert logging.root.handlers
    assert logging.root.handlers == []
