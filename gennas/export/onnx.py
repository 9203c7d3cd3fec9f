"""ONNX export."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn


def to_onnx(network: nn.Module, input_shape: tuple[int, int, int], batch: int = 1) -> bytes:
    """Exports a network in evaluation mode as an ONNX model: ``images (batch, c, h, w) -> logits (batch, classes)``.

    The TorchScript exporter is used on purpose: the models of the newer one ran equally fast, but exporting took ten
    times as long.
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
