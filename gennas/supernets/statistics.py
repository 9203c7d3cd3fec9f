"""Batch norms of a network with many paths."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Module = TypeVar("Module", bound=nn.Module)


def keep_no_statistics(module: Module) -> Module:
    """The module, whose batch norms normalise by the batch in training and keep nothing of it.

    In evaluation mode they use the statistics that they have: those that were loaded.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.track_running_stats = False
    return module
