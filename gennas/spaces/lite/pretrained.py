"""The weights of EfficientNet-Lite, by the names of this package's networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


def load_published(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads the weights of ``efficientnet-lite-pytorch``; a classifier for other classes keeps its own.

    Args:
        network: of the parent's arch.
        state: by the names of ``efficientnet-lite-pytorch``.

    Raises:
        RuntimeError: the weights are those of another network.
    """
    own, found = network.state_dict(), {}
    blocks = sorted({int(match[1]) for name in state if (match := _BLOCK.fullmatch(name))})
    head = str(len(blocks) + 2)
    plain = {"_conv_stem": "1.1", "_bn0": "1.2", "_conv_head": f"{head}.widen.0", "_bn1": f"{head}.widen.1"}
    for name, values in state.items():
        if match := _BLOCK.fullmatch(name):
            place, part = int(match[1]) + 2, match[2]
            if part in ("_depthwise_conv", "_bn1"):
                # A strided filter stands behind its padding.
                first = int(f"{place}.filter.0.weight" not in own)
                part = f"filter.{first + (part == '_bn1')}"
            else:
                part = _PARTS[part]
            found[f"{place}.{part}.{match[3]}"] = values
            continue
        part, _, last = name.partition(".")
        if part == "_fc":
            if len(values) == len(own[f"{head}.classify.{last}"]):
                found[f"{head}.classify.{last}"] = values
        else:
            found[f"{plain[part]}.{last}"] = values
    kept = {name: values for name, values in own.items() if name.startswith(f"{head}.classify") and name not in found}
    network.load_state_dict({**found, **kept})
