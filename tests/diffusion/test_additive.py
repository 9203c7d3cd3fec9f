"""Sums over decisions: what is such a sum is recovered, and frequencies are those of all archs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parts_spaces import DepthChain, Ops, TwoCells

from gennas.diffusion.additive import AdditiveFit, frequencies
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import PartsSpace


def archs_of(space: PartsSpace, count: int, seed: int = 0) -> GraphBatch:
    rng = np.random.default_rng(seed)
    return GraphBatch.from_archs([space.sample(rng) for _ in range(count)], space.template)


@pytest.mark.parametrize("space_class", [DepthChain, Ops])
def test_a_sum_is_recovered(space_class: type[PartsSpace]) -> None:
    space = space_class()
    choices, other = archs_of(space, 400).choices(), archs_of(space, 50, 1).choices()
    table = torch.randn(2, *decisions_of(space.template).allowed.shape, generator=torch.Generator().manual_seed(0))

    def values(rows: torch.Tensor) -> torch.Tensor:
        return 3 + table.gather(2, rows.T[None].expand(2, -1, -1)).sum(1).T

    fit = AdditiveFit.of(space.template, choices, values(choices))
    assert torch.allclose(fit(other), values(other).double(), atol=0.01)
    assert (fit.residual < 0.01).all()
    assert (fit.tables[:, ~decisions_of(space.template).allowed] == 0).all()


def test_what_is_no_sum_is_left_as_residual() -> None:
    space = Ops()
    choices = archs_of(space, 500).choices()
    noise = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    fit = AdditiveFit.of(space.template, choices, noise)
    assert fit.residual.item() == pytest.approx(1, abs=0.1)
    margins = torch.tensor([[0.0], [-100.0], [100.0]])
    even, never, always = fit.log_kept(margins).flatten().tolist()
    assert even == pytest.approx(np.log(0.5))
    assert never < -1000
    assert always == 0


@pytest.mark.parametrize("space_class", [DepthChain, TwoCells])
def test_frequencies_are_those_of_all_archs(space_class: type[PartsSpace]) -> None:
    space = space_class()
    if space.size is None:
        choices = archs_of(space, 20_000).choices()
        tolerance = 0.02
    else:
        choices, tolerance = GraphBatch.from_archs(list(space.enumerate()), space.template).choices(), 1e-9
    counted = torch.nn.functional.one_hot(choices, frequencies(space).shape[1]).double().mean(0)
    assert torch.allclose(frequencies(space), counted, atol=tolerance)
