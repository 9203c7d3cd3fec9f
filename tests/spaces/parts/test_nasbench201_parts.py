"""NAS-Bench-201 composed of parts is the shipped space."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from nasbench201_parts import NasBench201Again

from gennas import get_task
from gennas.spaces.nasbench201.space import NasBench201

AGAIN, SHIPPED = NasBench201Again(), NasBench201()


def test_is_short() -> None:
    assert len(inspect.getsource(NasBench201Again).splitlines()) < 40


def test_same_template_archs_and_keys() -> None:
    assert AGAIN.template.vocabulary == SHIPPED.template.vocabulary
    assert np.array_equal(AGAIN.template.allowed, SHIPPED.template.allowed)
    assert np.array_equal(AGAIN.template.edges, SHIPPED.template.edges)
    assert (AGAIN.size, AGAIN.absent, AGAIN.has_rules) == (SHIPPED.size, SHIPPED.absent, False)
    for mine, theirs in zip(AGAIN.enumerate(), SHIPPED.enumerate(), strict=True):
        assert (mine.key, mine.ops, mine.edges) == (theirs.key, theirs.ops, theirs.edges)


def test_same_canonical_forms() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        arch = SHIPPED.sample(rng)
        assert AGAIN.canonical(AGAIN.parse(arch.key)).key == SHIPPED.canonical(arch).key
        assert AGAIN.is_constant(AGAIN.parse(arch.key)) == SHIPPED.is_constant(arch)


@pytest.mark.parametrize("task", ["cifar10", "digits"])
def test_same_costs(task: str) -> None:
    mine, theirs = AGAIN.slot_costs(get_task(task)), SHIPPED.slot_costs(get_task(task))
    assert mine is not None
    for name, (base, table) in theirs.items():
        assert mine[name][0] == base
        assert np.array_equal(mine[name][1], table)


def test_same_networks() -> None:
    task, key = get_task("digits"), "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    mine, theirs = (space.build(space.parse(key), task).eval() for space in (AGAIN, SHIPPED))
    weights = list(theirs.parameters())
    own = list(mine.parameters())
    assert [p.shape for p in own] == [p.shape for p in weights]
    with torch.no_grad():
        for mine_p, theirs_p in zip(own, weights, strict=True):
            mine_p.copy_(theirs_p)
        images = torch.randn(2, *task.input_shape)
        torch.testing.assert_close(mine(images), theirs(images))
