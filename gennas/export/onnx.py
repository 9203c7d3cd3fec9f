"""ONNX export."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from torch import nn

from gennas.errors import InvalidInputError

#: Names of the input and the output of every model.
IMAGES, LOGITS = "images", "logits"


def to_onnx(network: nn.Module, input_shape: tuple[int, int, int], batch: int | None = 1) -> bytes:
    """Exports a network in evaluation mode as an ONNX model: ``images (batch, c, h, w) -> logits (batch, classes)``.

    The TorchScript exporter is used on purpose: the models of the newer one ran equally fast, but exporting took ten
    times as long.

    Args:
        network: on the CPU.
        input_shape: ``(c, h, w)``.
        batch: images at a time; None for any number.

    Raises:
        InvalidInputError: the network does something that ONNX has no operator for.
    """
    # ONNX lacks the operator that whole attention layers become when nothing is trained.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # On failure torch 2.13 prints the whole graph to stdout, whatever `verbose` says.
        with patch.object(torch._C, "_jit_onnx_log", lambda *_: None, create=True):
            return _exported(network, input_shape, batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _exported(network: nn.Module, input_shape: tuple[int, int, int], batch: int | None) -> bytes:
    axes = None if batch is not None else {name: {0: "batch"} for name in (IMAGES, LOGITS)}
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network.eval(),
                # One image would be a size that broadcasts, which a trace may take for a constant.
                (torch.zeros(batch or 2, *input_shape),),
                f"{folder}/network.onnx",
                dynamo=False,
                input_names=[IMAGES],
                output_names=[LOGITS],
                dynamic_axes=axes,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise InvalidInputError(
                f"the network cannot be written as ONNX: {_first_sentence(error)} Replace that operation in the "
                "module that uses it."
            ) from error
        return Path(folder, "network.onnx").read_bytes()


def _first_sentence(error: Exception) -> str:
    """What the exporter says first: the operator that it lacks; without its advice and its trace."""
    text = " ".join(str(error).split())
    return f"{text.partition('. ')[0].rstrip('.')}."
