"""Networks of NAS-Bench-201 side by side: outputs and gradients of each are those that it has alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.spaces.stacks.base import StackLayout
from gennas.tasks import Task, get_task

SPACE = NasBench201(channels=2, cells=2)
#: Nothing reaches the output; the edge 0->1 leads nowhere; every operation once; and three at random.
CELLS = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
    *(SPACE.sample(np.random.default_rng(seed)).key for seed in range(3)),
)
TASKS = [replace(get_task("digits"), input_shape=(3, 9, 9), num_classes=number) for number in (2, 5, 3)]


def networks() -> list[nn.Module]:
    torch.manual_seed(0)
    return [SPACE.build(SPACE.parse(key), TASKS[row % 3]).double() for row, key in enumerate(CELLS)]


def task_of(row: int) -> Task:
    return TASKS[row % 3]


@pytest.mark.parametrize("layout", ["separate", "grouped", "multiplied"])
def test_outputs_and_gradients_are_those_of_single_networks(layout: StackLayout) -> None:
    singles, stacked = networks(), networks()
    images = torch.randn(len(CELLS), 4, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    stack = SPACE.stack(stacked, layout)
    logits = stack(images)
    logits.masked_fill(logits.isinf(), 0.0).square().sum().backward()

    sums = torch.zeros(len(CELLS), dtype=torch.float64)
    for one in stack.owned():
        if one.parameter.grad is not None:
            one.add_sums(sums, one.parameter.grad.square())
    for row, (single, own) in enumerate(zip(singles, images, strict=True)):
        expected = single(own)
        expected.square().sum().backward()
        classes = task_of(row).num_classes
        assert torch.allclose(logits[row, :, :classes], expected)
        assert bool(logits[row, :, classes:].isneginf().all())
        assert sums[row].item() == pytest.approx(squares(single).item())


def squares(network: nn.Module) -> Tensor:
    grads = [one.grad for one in network.parameters() if one.grad is not None]
    return torch.stack([grad.square().sum() for grad in grads]).sum()


@pytest.mark.parametrize("layout", ["grouped", "multiplied"])
def test_weights_are_written_back_to_the_networks_that_they_came_from(layout: StackLayout) -> None:
    singles = networks()
    before = [{name: value.clone() for name, value in one.state_dict().items()} for one in singles]
    stack = SPACE.stack(singles, layout)
    owned = stack.owned()
    with torch.no_grad():
        for one in owned:
            one.parameter.add_(one.per_network(torch.arange(1.0, len(CELLS) + 1, dtype=torch.float64)))
    stack.write_back()

    for row, (single, old) in enumerate(zip(singles, before, strict=True)):
        changed = {
            name: value - old[name] for name, value in single.named_parameters() if not torch.equal(value, old[name])
        }
        assert {"stem.0.weight", "head.4.bias"} <= set(changed)
        assert all(torch.allclose(value, torch.full_like(value, row + 1.0)) for value in changed.values())
        # Convolutions from which nothing reaches the output are not part of the stack.
        if row == 1:
            assert "body.0.layers.0.1.weight" not in changed
            assert "body.0.layers.1.1.weight" in changed


def test_a_space_without_a_stack_says_so() -> None:
    space = get_space("nasbench101")
    assert not space.trains_at_once
    with pytest.raises(InvalidInputError, match="'nasbench101' cannot be trained at once; train one at a time"):
        space.stack([], "multiplied")
