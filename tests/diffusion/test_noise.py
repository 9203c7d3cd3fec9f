"""Noise: how many decisions are masked, which, and what that makes of the bound."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from toys import drawn, mixed, templates, toy, uniform_log_probs

from gennas.diffusion.noise import corrupt
from gennas.diffusion.quality import bound
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import get_space
from gennas.spaces.template import Template


class Uniform(torch.nn.Module):
    """Stands in for an untrained denoiser."""

    log_probs = staticmethod(uniform_log_probs)


def test_every_count_is_equally_likely_and_every_decision_in_it() -> None:
    space = get_space("nasbench201")
    graph = GraphBatch.from_archs(drawn(space, 1), space.template)[torch.zeros(12_000, dtype=torch.long)]
    noisy = corrupt(graph, torch.Generator().manual_seed(0))
    count = noisy.masked.sum(1)
    frequency = count.bincount(minlength=7)
    assert frequency[0] == 0
    assert chisquare(frequency[1:]).pvalue > 0.01
    for m in range(1, 6):
        assert chisquare(noisy.masked[count == m].sum(0)).pvalue > 0.001
    assert torch.allclose(noisy.weight, 6 / count)


@given(templates(), st.integers(0, 2**31))
def test_what_is_not_masked_stays(template: Template, seed: int) -> None:
    graph = GraphBatch.from_archs(drawn(toy(template), 5, seed), template)
    noisy = corrupt(graph, torch.Generator().manual_seed(seed))
    assert torch.equal(noisy.graph.masked_decisions(), noisy.masked)
    assert torch.equal(noisy.graph.choices()[~noisy.masked], graph.choices()[~noisy.masked])
    assert noisy.masked.any(1).all()
    again = corrupt(graph, torch.Generator().manual_seed(seed))
    assert torch.equal(again.masked, noisy.masked)


@given(templates(), st.integers(0, 2**31))
def test_one_estimate_of_the_uniform_bound_in_closed_form(template: Template, seed: int) -> None:
    graph = GraphBatch.from_archs(drawn(toy(template), 6, seed), template)
    nats = bound(Uniform(), graph, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    masked = corrupt(graph, torch.Generator().manual_seed(seed)).masked
    choices = decisions_of(template).allowed.sum(1).double().log()
    expected = torch.where(masked, choices, 0).sum(1) * template.decisions / masked.sum(1)
    assert torch.allclose(nats.double(), expected, atol=1e-5)


def test_where_all_decisions_have_as_many_choices_each_estimate_is_log_of_the_size() -> None:
    space = get_space("nasbench201")
    nats = bound(Uniform(), GraphBatch.from_archs(drawn(space, 50), space.template))  # type: ignore[arg-type]
    assert torch.allclose(nats, torch.tensor(math.log(15_625)), atol=1e-4)


def test_the_uniform_bound_is_log_of_the_size_in_expectation() -> None:
    space = mixed()
    graph = GraphBatch.from_archs(drawn(space, 1), space.template)[torch.zeros(20_000, dtype=torch.long)]
    nats = bound(Uniform(), graph, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    error = (nats.mean() - math.log(48)).abs()
    assert error < 4 * nats.std() / math.sqrt(len(nats))
