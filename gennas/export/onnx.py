"""A network as an ONNX document."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn


def to_onnx(network: nn.Module, input_shape: tuple[int, int, int], batch: int = 1) -> bytes:
    """A network in evaluation mode as an ONNX document with input ``images (batch, c, h, w)`` and output ``logits``.

    The TorchScript exporter is used on purpose: the graphs of the newer one ran equally fast and took ten
    times as long to make.
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
