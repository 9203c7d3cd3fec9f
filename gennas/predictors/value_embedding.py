"""ValueEmbedding: what networks see of the numbers that operations stand for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gennas.spaces import Template


class ValueEmbedding(nn.Module):
    """A linear map of the scaled numbers of operations, to be added to the embeddings of these.

    Neighbouring numbers then begin alike, and what is learnt of some says something of those between them.

    Shapes: slots and operations, of equal shape ``(...)`` -> ``(..., width)``; 0 for what is no number, or masked.

    Args:
        template: with values.
        width: features.
    """

    values: Tensor

    def __init__(self, template: Template, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(1, width, bias=False)
        # From -1 to 1. An index of -1, which is a masked slot, leads to the last column.
        centred = np.nan_to_num(2 * template.scaled_values - 1)
        padded = torch.from_numpy(np.pad(centred, ((0, 0), (0, 1)))).float()
        self.register_buffer("values", padded, persistent=False)

    @classmethod
    def of(cls, template: Template, width: int) -> ValueEmbedding | None:
        """None for a template without values, whose networks keep the parameters that they always had."""
        return None if template.values is None else cls(template, width)

    def forward(self, slots: Tensor, ops: Tensor) -> Tensor:
        return self.map(self.values[slots, ops][..., None])
