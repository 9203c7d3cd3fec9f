"""ONNX export."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.onnx import symbolic_helper

from gennas.errors import InvalidInputError

#: Names of the input and the output of every model.
IMAGES, LOGITS = "images", "logits"


#: The first operator set in which a resize is antialiased; the exporter of torch has no rule for it.
_ANTIALIASED = 18


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
        torch.onnx.register_custom_op_symbolic("aten::_upsample_bilinear2d_aa", _antialiased, _ANTIALIASED)
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


def _antialiased(g: Any, images: Any, size: Any, align_corners: Any, *scales: Any) -> Any:
    """A bilinear, antialiased resize of ``(b, c, h, w)`` to a fixed size."""
    if symbolic_helper._get_const(align_corners, "b", "align_corners"):
        raise torch.onnx.errors.SymbolicValueError("an antialiased resize with align_corners is not supported", images)
    sides = symbolic_helper._maybe_get_const(size, "is")
    if symbolic_helper._is_value(sides):
        raise torch.onnx.errors.SymbolicValueError("an antialiased resize to a size that varies", images)
    first = g.op("Slice", g.op("Shape", images), *(g.op("Constant", value_t=torch.tensor([at])) for at in (0, 2, 0)))
    whole = g.op("Concat", first, g.op("Constant", value_t=torch.tensor(sides)), axis_i=0)
    nothing = g.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    return g.op(
        "Resize",
        images,
        nothing,
        nothing,
        whole,
        mode_s="linear",
        antialias_i=1,
        exclude_outside_i=1,
        coordinate_transformation_mode_s="half_pixel",
    )


def _first_sentence(error: Exception) -> str:
    """What the exporter says first: the operator that it lacks; without its advice and its trace."""
    text = " ".join(str(error).split())
    return f"{text.partition('. ')[0].rstrip('.')}."
