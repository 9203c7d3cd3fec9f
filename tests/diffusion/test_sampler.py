"""Sampler: samples follow p(x) exp(f(x)); decisions already made stay; guides of strength 0 change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from toys import asked_of, drawn, mixed, partly_masked, templates, toy, uniform_log_probs

from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.exact import ExactGuide
from gennas.diffusion.sampler import SamplerConfig, SamplerOutput, sample, systematic
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Space
from gennas.spaces.template import Template

seeds = st.integers(0, 2**31)
#: Guidance alone: graphs are independent, and the errors of a guide are not corrected.
ALONE = SamplerConfig(particles=1, corrections=0)


class Enumerated:
    """A distribution over all archs of a small space, with exact conditionals."""

    def __init__(self, space: Space, seed: int, scale: float = 1.0, height: float = 1.0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.template = space.template
        allowed = decisions_of(space.template).allowed
        self.choices = GraphBatch.from_archs(list(space.enumerate()), space.template).choices()  # (N, D)
        self.log_p = (torch.randn(len(self.choices), generator=rng, dtype=torch.double) * scale).log_softmax(0)
        self.f = torch.randn(len(self.choices), generator=rng, dtype=torch.double) * height
        # All partly masked graphs, in the order of their choices read as digits; MASK is 0.
        digits = [torch.arange(-1, allowed.shape[1])] * len(allowed)
        graphs = torch.cartesian_prod(*digits)
        agree = ((self.choices[None] == graphs[:, None]) | (graphs == MASK)[:, None]).all(-1)
        log_p = self.log_p.masked_fill(~agree, -torch.inf)
        one_hot = torch.nn.functional.one_hot(self.choices, allowed.shape[1]).double()
        weight = log_p.exp()
        self._log_probs = (torch.einsum("gn,ndc->gdc", weight, one_hot) / weight.sum(1)[:, None, None]).log().float()
        self._value = ((log_p + self.f).logsumexp(1) - log_p.logsumexp(1)).float()
        self._base = (allowed.shape[1] + 1) ** torch.arange(len(allowed)).flip(0)

    def start(self, size: int) -> GraphBatch:
        return GraphBatch.undecided_batch(self.template, size)

    def _code(self, graph: GraphBatch) -> Tensor:
        return ((graph.choices() + 1) * self._base).sum(1)

    def log_probs(self, graph: GraphBatch, decisions: Tensor | None = None) -> Tensor:
        rows = torch.arange(len(graph))[:, None]
        return self._log_probs[self._code(graph)][rows, asked_of(graph, decisions)]

    def value(self, graph: GraphBatch) -> Tensor:
        """``(b,)``: V(x_t) = log E[exp(f(x)) | x_t]."""
        return self._value[self._code(graph)]

    def counts(self, graph: GraphBatch) -> Tensor:
        place = ((self.choices + 1) * self._base).sum(1)
        return self._code(graph).bincount(minlength=len(self._value))[place]

    @property
    def tilted(self) -> Tensor:
        """``(N,)`` the distribution that exp(f) makes of p."""
        return (self.log_p + self.f).softmax(0)

    def distance(self, graph: GraphBatch) -> float:
        """Total variation between samples and the tilted distribution."""
        return float((self.counts(graph) / len(graph) - self.tilted).abs().sum() / 2)

    def mean(self, graph: GraphBatch) -> float:
        """The mean of f over samples."""
        return float(self.counts(graph).double() @ self.f / len(graph))

    def sampling_error(self, size: int) -> float:
        """Mean total variation between ``size`` independent draws and the tilted distribution."""
        counts = np.random.default_rng(0).multinomial(size, self.tilted.numpy(), size=50)
        return float(np.abs(counts / size - self.tilted.numpy()).sum(1).mean() / 2)


class Exact(Guide):
    """Exact log-values, computed from all archs."""

    def __init__(self, distribution: Enumerated) -> None:
        self.distribution = distribution

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return self.distribution.value(graph)


class Blind(Exact):
    """Exact for decided graphs; 0 for partly masked ones."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return torch.where(graph.masked_decisions().any(1), 0.0, super().log_values(graph, row))


class Contrary(Exact):
    """Exact for decided graphs; of the wrong sign for partly masked ones."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        value = super().log_values(graph, row)
        return torch.where(graph.masked_decisions().any(1), -value, value)


class Hopeless(Guide):
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return torch.full((len(graph),), -torch.inf)


class Inactive(Guide):
    strength = 0.0

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        raise AssertionError("a guide of strength 0 was evaluated")


class RowsGuide(Guide):
    """Prefers the first choice of every decision in even islands and the last in odd ones."""

    def __init__(self, particles: int = 1) -> None:
        self.particles = particles

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return 50.0 * graph.choices().sum(1) * torch.where(row // self.particles % 2 == 0, -1, 1)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_unguided_samples_follow_the_denoiser() -> None:
    known = Enumerated(mixed(), seed=1)
    done = sample(known.log_probs, known.start(6000), rng(0))
    assert chisquare(known.counts(done.graph), 6000 * known.log_p.exp()).pvalue > 0.01
    assert done.effective_share == 1.0


def test_unguided_samples_of_a_uniform_denoiser_are_uniform() -> None:
    known = Enumerated(mixed(), seed=1, scale=0.0)
    for steps in (1, 2, 32):
        done = sample(uniform_log_probs, known.start(6000), rng(0), sampling=SamplerConfig(steps=steps))
        assert chisquare(known.counts(done.graph)).pvalue > 0.01


@pytest.mark.parametrize("corrections", [0, 6])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_samples_guided_exactly_follow_the_tilted_distribution(corrections: int, scale: float) -> None:
    known = Enumerated(mixed(), seed=2, scale=scale)
    sampling = SamplerConfig(particles=1, corrections=corrections)
    graph = sample(known.log_probs, known.start(6000), rng(0), [Exact(known)], sampling).graph
    assert chisquare(known.counts(graph), 6000 * known.tilted).pvalue > 0.01
    # The test has power: the untilted distribution is rejected.
    assert chisquare(known.counts(graph), 6000 * known.log_p.exp()).pvalue < 1e-6


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_the_exact_guide_draws_from_the_tilted_distribution(strength: float) -> None:
    known, archs = Enumerated(mixed(), seed=4, scale=0.0, height=strength), list(mixed().enumerate())
    guide = ExactGuide(known.template, archs, known.f.numpy() / strength, strength)
    done = sample(uniform_log_probs, known.start(6000), rng(0), [guide], ALONE)
    assert known.distance(done.graph) < 1.3 * known.sampling_error(6000)
    assert chisquare(known.counts(done.graph), 6000 * known.tilted).pvalue > 0.01


@pytest.mark.parametrize(("bad", "height"), [(Blind, 1.0), (Contrary, 0.5)])
def test_particles_correct_a_guide_that_is_wrong_about_masked_graphs(bad: type[Exact], height: float) -> None:
    known = Enumerated(mixed(), seed=3, scale=0.5, height=height)
    truth, size = float(known.tilted @ known.f), 200 * 128
    alone = sample(known.log_probs, known.start(size), rng(0), [bad(known)], ALONE).graph
    many = sample(known.log_probs, known.start(size), rng(0), [bad(known)], SamplerConfig(particles=128, corrections=0))
    assert known.distance(alone) > 0.12
    assert abs(known.mean(alone) - truth) > 0.15
    assert known.distance(many.graph) < 0.03
    assert known.mean(many.graph) == pytest.approx(truth, abs=0.03)


def test_more_particles_are_closer() -> None:
    known = Enumerated(mixed(), seed=3, scale=0.0)
    distance = {}
    for particles in (1, 4, 16, 64):
        sampling = SamplerConfig(particles=particles, corrections=0)
        distance[particles] = known.distance(
            sample(known.log_probs, known.start(9600), rng(0), [Blind(known)], sampling)[0]
        )
    assert distance[1] > 1.5 * distance[4] > 1.5 * 1.5 * distance[16]
    assert distance[64] < 0.06


def test_corrections_correct_a_guide_that_is_wrong_about_masked_graphs() -> None:
    known = Enumerated(mixed(), seed=3, scale=0.0)
    distance = {}
    for corrections in (0, 40):
        sampling = SamplerConfig(particles=1, corrections=corrections)
        graph = sample(known.log_probs, known.start(3000), rng(0), [Blind(known)], sampling).graph
        distance[corrections] = known.distance(graph)
    # The sampling error is about 0.05 here.
    assert distance[40] < 0.08 < 2 * distance[40] < distance[0]


@pytest.mark.parametrize("bad", [Blind, Contrary])
def test_corrections_leave_the_target_invariant_whatever_the_guide(bad: type[Exact]) -> None:
    known = Enumerated(mixed(), seed=5)

    class Proposing(Exact):
        """Exact while decisions are made, and wrong in the corrections that follow."""

        whole = False

        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            self.whole |= not graph.masked_decisions().any()
            return bad(known).log_values(graph, row) if self.whole else super().log_values(graph, row)

    sampling = SamplerConfig(particles=1, corrections=8)
    graph = sample(known.log_probs, known.start(6000), rng(0), [Proposing(known)], sampling).graph
    assert chisquare(known.counts(graph), 6000 * known.tilted).pvalue > 0.01


def test_the_effective_share_is_lower_for_worse_guides() -> None:
    known = Enumerated(mixed(), seed=3, scale=0.5)
    exact = ExactGuide(known.template, list(mixed().enumerate()), known.f.numpy(), 1.0)
    assert sample(uniform_log_probs, known.start(640), rng(0), [exact]).effective_share == pytest.approx(1, abs=1e-4)
    own = sample(known.log_probs, known.start(640), rng(0), [Exact(known)]).effective_share
    assert own == pytest.approx(1, abs=1e-4)
    known = Enumerated(mixed(), seed=3, scale=0.5, height=4.0)
    blind = sample(known.log_probs, known.start(640), rng(0), [Blind(known)]).effective_share
    contrary = sample(known.log_probs, known.start(640), rng(0), [Contrary(known)]).effective_share
    assert 1 / 64 <= contrary < blind < 0.6
    assert contrary < 0.2


def test_the_number_of_guided_graphs_must_be_a_multiple_of_the_particles() -> None:
    known = Enumerated(mixed(), seed=3)
    with pytest.raises(ValueError, match="100 guided graphs; must be a multiple of 64 particles"):
        sample(known.log_probs, known.start(100), rng(0), [Exact(known)])
    # Unguided graphs do not compete, and those of strength 0 are unguided.
    assert len(sample(known.log_probs, known.start(100), rng(0), [Inactive()]).graph) == 100
    assert len(sample(known.log_probs, known.start(0), rng(0), [Exact(known)]).graph) == 0


def test_several_decisions_a_step_keep_the_tilted_mean() -> None:
    known = Enumerated(mixed(), seed=2, scale=0.0)
    calls = []

    def log_probs(graph: GraphBatch, decisions: Tensor) -> Tensor:
        calls.append(decisions.shape[1])
        return uniform_log_probs(graph, decisions)

    for steps, at_once in ((1, [5]), (2, [3, 2]), (3, [2, 2, 1]), (4, [2, 2, 1]), (5, [1] * 5)):
        calls.clear()
        sampling = SamplerConfig(steps=steps, particles=128, corrections=0)
        done = sample(log_probs, known.start(80 * 128), rng(0), [Exact(known)], sampling)
        assert calls == at_once
        assert not done.graph.masked_decisions().any()
        assert known.mean(done.graph) == pytest.approx(float(known.tilted @ known.f), abs=0.04), steps
        assert known.distance(done.graph) < 0.05


@given(templates(), seeds, st.sampled_from([1, 2, 32]))
def test_guides_of_strength_0_change_nothing(template: Template, seed: int, steps: int) -> None:
    start = partly_masked(toy(template), 5, seed)
    plain, guided = rng(seed), rng(seed)
    first = sample(uniform_log_probs, start, plain, sampling=SamplerConfig(steps=steps))
    second = sample(uniform_log_probs, start, guided, [Inactive(), Inactive()], SamplerConfig(steps=steps))
    assert torch.equal(first.graph.choices(), second.graph.choices())
    assert first.effective_share == second.effective_share == 1.0
    assert torch.equal(plain.get_state(), guided.get_state())


hows = st.builds(
    SamplerConfig,
    steps=st.sampled_from([1, 2, 32]),
    particles=st.sampled_from([1, 2, 6]),
    corrections=st.sampled_from([0, 3]),
)


class Random(Guide):
    """Arbitrary log-values, some of them -inf, that are a function of the graph."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        number = ((graph.choices() + 2) * 7 ** torch.arange(graph.template.decisions)).sum(1) % 101
        return torch.where(number % 3 == 0, -torch.inf, number / 20)


@settings(max_examples=60)
@given(templates(), seeds, hows, st.sampled_from([[], [RowsGuide()], [Random()], [Random(), Hopeless()]]))
def test_choices_are_allowed_and_decisions_already_made_stay(
    template: Template, seed: int, sampling: SamplerConfig, guides: list[Guide]
) -> None:
    space = toy(template)
    # The graphs of an island share a start.
    start = partly_masked(space, 6, seed)[torch.arange(6).repeat_interleave(sampling.particles)]
    graph = sample(uniform_log_probs, start, rng(seed), guides, sampling).graph
    decided = ~start.masked_decisions()
    assert not graph.masked_decisions().any()
    assert torch.equal(graph.choices()[decided], start.choices()[decided])
    allowed = decisions_of(template).allowed.expand(len(graph), -1, -1)
    assert allowed.gather(2, graph.choices()[..., None]).all()
    assert all(arch is not None for arch in graph.to_archs(space))


@settings(max_examples=60)
@given(templates(), seeds, st.sampled_from([0, 3]))
def test_graphs_of_an_island_may_start_from_different_ones(template: Template, seed: int, corrections: int) -> None:
    start = partly_masked(toy(template), 12, seed)
    sampling = SamplerConfig(particles=6, corrections=corrections)
    graph = sample(uniform_log_probs, start, rng(seed), [Random()], sampling).graph
    for island in torch.arange(12).split(6):
        same = graph.choices()[island][:, None] == start.choices()[island]
        continues = (same | start.masked_decisions()[island]).all(-1)  # (6, 6)
        assert continues.any(1).all(), "this graph completes none of its island's start graphs"


def test_no_guide_overrules_a_choice_that_the_denoiser_forbids() -> None:
    template = mixed().template

    def log_probs(graph: GraphBatch, decisions: Tensor) -> Tensor:
        log_p = uniform_log_probs(graph, decisions).clone()
        log_p[..., 1][decisions >= 2] = -torch.inf
        return log_p.log_softmax(-1)

    class Edges(Guide):
        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            return 1000.0 * (graph.edges == 1).sum((1, 2))

    for sampling in (SamplerConfig(), ALONE, SamplerConfig(steps=2)):
        graph = sample(log_probs, GraphBatch.undecided_batch(template, 64), rng(0), [Edges()], sampling).graph
        assert (graph.edges == 0).all()


@given(templates(), seeds)
def test_decided_graphs_are_returned_unchanged(template: Template, seed: int) -> None:
    whole = GraphBatch.from_archs(drawn(toy(template), 3, seed), template)
    done = sample(uniform_log_probs, whole, rng(0), [RowsGuide()], SamplerConfig(particles=3))
    assert torch.equal(done.graph.choices(), whole.choices())
    assert done.effective_share == 1.0


@pytest.mark.parametrize("particles", [1, 4])
def test_guides_know_which_graph_they_continue(particles: int) -> None:
    template = mixed().template
    start, sampling = GraphBatch.undecided_batch(template, 40), SamplerConfig(particles=particles)
    choices = sample(uniform_log_probs, start, rng(0), [RowsGuide(particles)], sampling).graph.choices()
    even = torch.arange(40) // particles % 2 == 0
    assert (choices[even] == torch.tensor([0, 2, 0, 0, 0])).all()
    assert (choices[~even] == torch.tensor([2, 3, 1, 1, 1])).all()


def test_guides_add_up() -> None:
    known = Enumerated(mixed(), seed=2)

    class Half(Exact):
        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            return super().log_values(graph, row) / 2

    one = sample(known.log_probs, known.start(200), rng(0), [Exact(known)], ALONE).graph
    two = sample(known.log_probs, known.start(200), rng(0), [Half(known), Half(known)], ALONE).graph
    assert (one.choices() == two.choices()).all(1).float().mean() > 0.99


@pytest.mark.parametrize("particles", [1, 10])
def test_a_guide_that_forbids_everything_is_ignored(particles: int) -> None:
    start = GraphBatch.undecided_batch(mixed().template, 50)
    sampling = SamplerConfig(particles=particles, corrections=0)
    hopeless = sample(uniform_log_probs, start, rng(0), [Hopeless()], sampling)
    assert hopeless.effective_share == pytest.approx(1.0)
    if particles == 1:
        assert torch.equal(hopeless.graph.choices(), sample(uniform_log_probs, start, rng(0)).graph.choices())
    corrected = sample(uniform_log_probs, start, rng(0), [Hopeless()], SamplerConfig(particles=particles))
    assert all(corrected.graph.to_archs(mixed()))


def test_forbidden_graphs_are_resampled_away() -> None:
    class NoFirstEdge(Guide):
        """Forbids decided graphs with the first edge; 0 for partly masked ones."""

        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            forbidden = ~graph.masked_decisions().any(1) & (graph.edges[:, 0, 1] == 1)
            return torch.where(forbidden, -torch.inf, 0.0)

    start = GraphBatch.undecided_batch(mixed().template, 640)
    for sampling in (SamplerConfig(corrections=0), SamplerConfig(), SamplerConfig(steps=1)):
        assert (sample(uniform_log_probs, start, rng(0), [NoFirstEdge()], sampling).graph.edges[:, 0, 1] == 0).all()


def test_the_seed_decides() -> None:
    start = GraphBatch.undecided_batch(mixed().template, 64)
    first, again, other = (sample(uniform_log_probs, start, rng(seed), [RowsGuide(64)]).graph for seed in (0, 0, 1))
    assert torch.equal(first.choices(), again.choices())
    free = [sample(uniform_log_probs, start, rng(seed)).graph for seed in (0, 1)]
    assert not torch.equal(free[0].choices(), free[1].choices())
    assert torch.equal(first.choices(), other.choices()), "this guide determines every choice"


def test_sampler_output_unpacks_into_a_pair() -> None:
    start = GraphBatch.undecided_batch(mixed().template, 3)
    graph, share = sample(uniform_log_probs, start, rng(0))
    assert isinstance(sample(uniform_log_probs, start, rng(0)), SamplerOutput)
    assert len(graph) == 3
    assert share == 1.0


@given(seeds, st.integers(1, 4), st.sampled_from([1, 2, 8, 64, 512]), st.sampled_from([0.0, 1.0, 5.0, 60.0]))
def test_resampling_copies_by_weight(seed: int, islands: int, size: int, scale: float) -> None:
    weights = (torch.randn(islands, size, generator=rng(seed)) * scale).softmax(1)
    rows = systematic(weights, rng(seed)).view(islands, size)
    assert (
        (rows >= size * torch.arange(islands)[:, None]) & (rows < size * torch.arange(1, islands + 1)[:, None])
    ).all()
    copies = rows.flatten().bincount(minlength=islands * size).view(islands, size)
    expected = weights.double() * size
    assert (copies >= (expected - 1e-3).floor()).all()
    assert (copies <= (expected + 1e-3).ceil()).all()


def test_resampling_is_unbiased_at_every_position() -> None:
    weights = torch.tensor([[0.5, 0.2, 0.3, 0.0]]).expand(4000, -1)
    rows = systematic(weights, rng(0)).view(4000, 4) - 4 * torch.arange(4000)[:, None]
    # At every position in the island, the row is drawn by weight.
    for position in rows.T:
        share = position.bincount(minlength=4) / 4000
        assert torch.allclose(share, weights[0], atol=4 * 0.5 / math.sqrt(4000))
    assert (rows != 3).all()
