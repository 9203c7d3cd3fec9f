"""Blocks that choose their precision: which layers of an ONNX model they keep in float."""

from __future__ import annotations

from torch import nn

from gennas.export.int8 import Quantiser


def float_layers(network: nn.Module, document: bytes) -> tuple[str, ...]:
    """Names of the layers that belong to modules with an attribute ``precision`` of ``"float32"``.

    So a space makes the precision of a block a choice: its builder sets the attribute. Modules without it, or with
    ``"int8"``, may be quantised. Precision as a part of the search: Sarah et al., "SimQ-NAS", 2023
    (https://arxiv.org/abs/2312.13301); Zhang et al., "SpaceEvo", 2023 (https://arxiv.org/abs/2303.08308).

    Args:
        network: the network.
        document: its ONNX model, as :func:`gennas.export.onnx.to_onnx` gives it.
    """
    blocks = [name for name, module in network.named_modules() if getattr(module, "precision", None) == "float32"]
    if not blocks:
        return ()
    layers = Quantiser(document).layers
    return tuple(layer for layer in layers if any(_is_within(module_of(layer), block) for block in blocks))


def module_of(layer: str) -> str:
    """The name of the module that a layer comes from: ``/body/body.0/conv/Conv`` is of ``body.0.conv``.

    The exporter writes the way down to an operator; where containers are called, they stand there with their own names,
    and again in the names of what they contain.
    """
    parts: list[str] = []
    for part in layer.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _is_within(module: str, block: str) -> bool:
    return block == "" or module == block or module.startswith(f"{block}.")
