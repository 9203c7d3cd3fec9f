"""Sampler: with exact log-values the samples follow p(x) exp(f(x)); what is decided stays; strength 0 is no guide."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from toys import drawn, mixed, partly_masked, templates, toy, uniform_log_probs

from gennas.diffusion.guidance import Guide
from gennas.diffusion.sampler import sample
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space
from gennas.spaces.base import Template

seeds = st.integers(0, 2**31)


class Enumerated:
    """A distribution over all archs of a small space, of which every conditional is known."""

    def __init__(self, space: Space, seed: int, spread: float = 1.0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.template = space.template
        self.choices = GraphBatch.from_archs(list(space.enumerate()), space.template).choices()  # (N, D)
        self.log_p = (torch.randn(len(self.choices), generator=rng, dtype=torch.double) * spread).log_softmax(0)
        self.f = torch.randn(len(self.choices), generator=rng, dtype=torch.double)

    def agree(self, graph: GraphBatch) -> Tensor:
        """``(b, N)``: which archs each partly masked graph may still become."""
        same = self.choices[None] == graph.choices()[:, None]
        return (same | graph.masked_decisions()[:, None]).all(-1)

    def log_probs(self, graph: GraphBatch) -> Tensor:
        weight = self.agree(graph).double() * self.log_p.exp()  # (b, N)
        one_hot = torch.nn.functional.one_hot(self.choices, decisions_of(self.template).allowed.shape[1]).double()
        return (torch.einsum("bn,ndc->bdc", weight, one_hot) / weight.sum(1)[:, None, None]).log().float()

    def counts(self, graph: GraphBatch) -> Tensor:
        return self.agree(graph).sum(0)


class ExactGuide(Guide):
    """``V(x_t) = log E[exp(f(x)) | x_t]``, by going through all archs."""

    def __init__(self, distribution: Enumerated) -> None:
        self.distribution = distribution

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        d = self.distribution
        log_p = d.log_p.masked_fill(~d.agree(graph), -torch.inf)
        return ((log_p + d.f).logsumexp(1) - log_p.logsumexp(1)).float()


class Hopeless(Guide):
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return torch.full((len(graph),), -torch.inf)


class Unasked(Guide):
    strength = 0.0

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        raise AssertionError("a guide of strength 0 is never asked")


class RowsGuide(Guide):
    """Wants the first choice everywhere in even rows and the last in odd ones."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return 50.0 * graph.choices().sum(1) * torch.where(row % 2 == 0, -1, 1)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_unguided_samples_follow_the_denoiser() -> None:
    known = Enumerated(mixed(), seed=1)
    drawn_graphs = sample(known.log_probs, GraphBatch.undecided_batch(known.template, 6000), rng(0))
    assert chisquare(known.counts(drawn_graphs), 6000 * known.log_p.exp()).pvalue > 0.01


@pytest.mark.parametrize("corrections", [0, 6])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_samples_guided_exactly_follow_the_tilted_distribution(corrections: int, spread: float) -> None:
    known = Enumerated(mixed(), seed=2, spread=spread)
    start = GraphBatch.undecided_batch(known.template, 6000)
    graph = sample(known.log_probs, start, rng(0), [ExactGuide(known)], corrections)
    tilted = (known.log_p + known.f).softmax(0)
    assert chisquare(known.counts(graph), 6000 * tilted).pvalue > 0.01
    # The test can tell: the untilted distribution is refuted.
    assert chisquare(known.counts(graph), 6000 * known.log_p.exp()).pvalue < 1e-6


def test_corrections_mend_a_guide_that_is_wrong_about_masked_graphs() -> None:
    known = Enumerated(mixed(), seed=3, spread=0.0)

    class Blind(ExactGuide):
        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            masked = graph.masked_decisions().any(1)
            return torch.where(masked, 0.0, super().log_values(graph, row))

    start = GraphBatch.undecided_batch(known.template, 3000)
    tilted = (known.log_p + known.f).softmax(0)
    distance = {}
    for corrections in (0, 40):
        counts = known.counts(sample(known.log_probs, start, rng(0), [Blind(known)], corrections))
        distance[corrections] = float((counts / 3000 - tilted).abs().sum() / 2)
    # Total variation by chance alone is about 0.05 here.
    assert distance[40] < 0.08 < 2 * distance[40] < distance[0]


@given(templates(), seeds)
def test_guides_of_strength_0_change_nothing(template: Template, seed: int) -> None:
    start = partly_masked(toy(template), 5, seed)
    plain, guided = rng(seed), rng(seed)
    first = sample(uniform_log_probs, start, plain)
    second = sample(uniform_log_probs, start, guided, [Unasked(), Unasked()])
    assert torch.equal(first.choices(), second.choices())
    assert torch.equal(plain.get_state(), guided.get_state())


@settings(max_examples=40)
@given(templates(), seeds, st.sampled_from([0, 3]), st.booleans())
def test_only_allowed_choices_and_what_is_decided_stays(
    template: Template, seed: int, corrections: int, guided: bool
) -> None:
    space = toy(template)
    start = partly_masked(space, 6, seed)
    guides = [RowsGuide()] if guided else []
    graph = sample(uniform_log_probs, start, rng(seed), guides, corrections)
    decided = ~start.masked_decisions()
    assert not graph.masked_decisions().any()
    assert torch.equal(graph.choices()[decided], start.choices()[decided])
    allowed = decisions_of(template).allowed.expand(6, -1, -1)
    assert allowed.gather(2, graph.choices()[..., None]).all()
    assert all(arch is not None for arch in graph.to_archs(space))


@given(templates(), seeds)
def test_nothing_to_decide_is_left_as_it_is(template: Template, seed: int) -> None:
    whole = GraphBatch.from_archs(drawn(toy(template), 3, seed), template)
    assert torch.equal(sample(uniform_log_probs, whole, rng(0), [RowsGuide()]).choices(), whole.choices())


def test_guides_know_which_graph_they_continue() -> None:
    template = mixed().template
    graph = sample(uniform_log_probs, GraphBatch.undecided_batch(template, 20), rng(0), [RowsGuide()])
    assert (graph.choices()[0::2] == torch.tensor([0, 2, 0, 0, 0])).all()
    assert (graph.choices()[1::2] == torch.tensor([2, 3, 1, 1, 1])).all()


def test_guides_add_up() -> None:
    known = Enumerated(mixed(), seed=2)

    class Half(ExactGuide):
        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            return super().log_values(graph, row) / 2

    start = GraphBatch.undecided_batch(known.template, 200)
    one = sample(known.log_probs, start, rng(0), [ExactGuide(known)])
    two = sample(known.log_probs, start, rng(0), [Half(known), Half(known)])
    assert (one.choices() == two.choices()).all(1).float().mean() > 0.99


def test_a_guide_that_forbids_everything_is_not_heeded() -> None:
    start = GraphBatch.undecided_batch(mixed().template, 50)
    hopeless = sample(uniform_log_probs, start, rng(0), [Hopeless()], corrections=0)
    assert torch.equal(hopeless.choices(), sample(uniform_log_probs, start, rng(0)).choices())
    corrected = sample(uniform_log_probs, start, rng(0), [Hopeless()])
    assert all(corrected.to_archs(mixed()))


def test_the_seed_decides() -> None:
    start = GraphBatch.undecided_batch(mixed().template, 50)
    first, again, other = (sample(uniform_log_probs, start, rng(seed), [RowsGuide()]) for seed in (0, 0, 1))
    assert torch.equal(first.choices(), again.choices())
    free = [sample(uniform_log_probs, start, rng(seed)) for seed in (0, 1)]
    assert not torch.equal(free[0].choices(), free[1].choices())
    assert torch.equal(first.choices(), other.choices()), "this guide leaves nothing to chance"
