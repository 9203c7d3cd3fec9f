"""Denoiser: forbidden choices have no probability, graphs of a batch do not see each other, gradients are finite."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import drawn, mixed, partly_masked, templates, toy

from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.quality import bound
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces.template import Template

seeds = st.integers(0, 2**31)


def denoiser_of(template: Template, seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(template, width=16, layers=2, heads=2).eval()


@given(templates(), seeds)
def test_log_probs_are_distributions_over_what_is_allowed(template: Template, seed: int) -> None:
    graph = partly_masked(toy(template), 4, seed)
    log_probs = denoiser_of(template, seed).log_probs(graph)
    allowed = decisions_of(template).allowed.expand(4, -1, -1)
    assert log_probs.shape == allowed.shape
    assert torch.equal(log_probs > -torch.inf, allowed)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(4, template.decisions), atol=1e-5)


@given(templates(), seeds, st.integers(0, 3))
def test_what_is_asked_of_some_decisions_is_what_all_say(template: Template, seed: int, count: int) -> None:
    graph, denoiser = partly_masked(toy(template), 4, seed), denoiser_of(template, seed)
    decisions = torch.randint(template.decisions, (4, count), generator=torch.Generator().manual_seed(seed))
    some, every = denoiser.log_probs(graph, decisions), denoiser.log_probs(graph)
    assert some.shape == (4, count, every.shape[2])
    assert torch.allclose(some.exp(), every[torch.arange(4)[:, None], decisions].exp(), atol=1e-6)


@settings(max_examples=15)
@given(templates(), seeds)
def test_the_training_bound_has_finite_gradients(template: Template, seed: int) -> None:
    denoiser = denoiser_of(template, seed).train()
    graph = GraphBatch.from_archs(drawn(toy(template), 8, seed), template)
    bound(denoiser, graph, torch.Generator().manual_seed(seed)).mean().backward()
    gradients = [parameter.grad for parameter in denoiser.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_graph_does_not_see_its_neighbours() -> None:
    space = mixed()
    denoiser, graph = denoiser_of(space.template), partly_masked(space, 8)
    together = denoiser.log_probs(graph)
    alone = torch.cat([denoiser.log_probs(graph[torch.tensor([row])]) for row in range(8)])
    assert torch.allclose(together.exp(), alone.exp(), atol=1e-6)


def test_every_decision_is_seen_by_every_other() -> None:
    space = mixed()
    denoiser = denoiser_of(space.template)
    start = GraphBatch.undecided_batch(space.template, 1)
    base = denoiser.log_probs(start).exp()
    for decisions, choice in [(0, 1), (1, 3), (2, 1), (3, 0), (4, 1)]:
        changed = denoiser.log_probs(start.decide(torch.tensor([[decisions]]), torch.tensor([[choice]]))).exp()
        moved = (changed - base).abs().amax(-1)[0]
        others = [d for d in range(space.template.decisions) if d != decisions]
        assert (moved[others] > 0).all(), f"decision {decisions} leaves another one cold"


def test_the_config_makes_the_same_network() -> None:
    space = mixed()
    denoiser = denoiser_of(space.template)
    again = Denoiser(space.template, **denoiser.config).eval()
    again.load_state_dict(denoiser.state_dict())
    graph = partly_masked(space, 5)
    assert torch.equal(again.log_probs(graph), denoiser.log_probs(graph))
