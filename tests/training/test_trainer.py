"""The schedule of the learning rate, for every number of steps."""

from __future__ import annotations

import pytest
import torch

from gennas.training.trainer import one_cycle


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 11, 20, 100])
def test_a_training_may_have_any_number_of_steps(steps: int) -> None:
    """PyTorch's schedule divides by zero where its first phase is one step long."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    made = one_cycle([parameter], 1e-3, steps)
    for _ in range(steps):
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
