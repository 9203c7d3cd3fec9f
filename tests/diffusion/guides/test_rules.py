"""RulesGuide: what breaks a rule is worth nothing, and guided sampling draws only what keeps the rules."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import Toy, drawn, mixed, partly_masked, templates, toy

from gennas.arch import Arch
from gennas.diffusion import generator as module
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.rules import RulesGuide
from gennas.diffusion.sampler import SamplerConfig
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space, get_space
from gennas.spaces.template import Template

seeds = st.integers(0, 2**31)


def few_edges(template: Template, most: int = 1) -> Toy:
    """The toy of a template, of whose free edges only a few may be present."""

    class FewEdges(Toy):
        def rule_problems(self, arch: Arch) -> list[str]:
            count = len(set(arch.edges) & set(self.template.free_edges))
            return [f"{count} edges, expected at most {most}"] if count > most else []

    FewEdges.template = template
    return FewEdges()


def worth(space: Space, graph: GraphBatch) -> list[float]:
    """Brute force: 0 of whole graphs that keep the rules and of all that are partly masked, -inf of others."""
    worths = []
    words = space.template.vocabulary
    for ops, edges, masked in zip(graph.ops.tolist(), graph.edges, graph.masked_decisions().any(1), strict=True):
        pairs = tuple((int(i), int(j)) for i, j in (edges == 1).nonzero().tolist())
        arch = Arch(space.name, "", tuple(words[op] for op in ops), pairs)
        worths.append(0.0 if masked or not space.problems(arch) else -math.inf)
    return worths


def nearly_whole(template: Template, seed: int) -> GraphBatch:
    """Whole graphs, graphs with one and with two open decisions, and others; rules are not minded."""
    graph, rng = partly_masked(toy(template), 30, seed), torch.Generator().manual_seed(seed)
    rank = torch.rand(30, template.decisions, generator=rng).argsort(dim=1).argsort(dim=1)
    whole = GraphBatch.from_archs(drawn(toy(template), 30, seed + 1), template)
    count = torch.tensor([0, 1, 2]).repeat(10)[:, None]
    close = whole.with_mask(rank < count)
    return GraphBatch(template, torch.cat([close.ops, graph.ops]), torch.cat([close.edges, graph.edges]))


@given(templates(), seeds, st.integers(0, 2))
def test_only_whole_graphs_that_break_a_rule_are_worth_nothing(template: Template, seed: int, most: int) -> None:
    space, graph = few_edges(template, most), nearly_whole(template, seed)
    found = RulesGuide(space).log_values(graph, torch.arange(len(graph)))
    assert found.tolist() == worth(space, graph)


@given(templates(), seeds, st.integers(0, 2), st.integers(0, 3))
def test_the_last_decision_is_worth_what_it_makes(template: Template, seed: int, most: int, count: int) -> None:
    space, graph = few_edges(template, most), nearly_whole(template, seed)
    masked, allowed = graph.masked_decisions(), decisions_of(template).allowed
    decisions = masked.long().argsort(dim=1, descending=True, stable=True)[:, :count]
    now, then = RulesGuide(space).values(graph, torch.arange(len(graph)), decisions)
    assert then.shape == (*decisions.shape, allowed.shape[1])
    assert now.tolist() == worth(space, graph)
    for column in range(decisions.shape[1]):
        decision = decisions[:, column]
        for choice in range(allowed.shape[1]):
            ok = allowed[decision, choice] & masked.gather(1, decision[:, None])[:, 0]
            made = graph.decide(decision[:, None], torch.full((len(graph), 1), choice))
            # Brute force gives 0 to whatever is still open afterwards.
            assert then[ok, column, choice].tolist() == worth(space, made[ok])


def test_it_looks_at_last_decisions_only() -> None:
    """Rules are checked one graph after the other: what may still become anything is not asked about."""
    asked: list[int] = []

    class Counted(type(few_edges(mixed().template))):  # type: ignore[misc]
        def keeps_rules(self, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
            asked.append(len(ops))
            return super().keeps_rules(ops, edges)

    graph = GraphBatch.undecided_batch(mixed().template, 8)
    RulesGuide(Counted()).values(graph, torch.arange(8), torch.tensor([[0, 4]] * 8))
    assert sum(asked) == 0
    last = graph.decide(torch.arange(4).expand(8, -1), torch.tensor([[0, 2, 1, 0]] * 8))
    RulesGuide(Counted()).values(last, torch.arange(8), torch.tensor([[4]] * 8))
    assert sum(asked) == 8 * 2


class Level(Guide):
    """Everything is worth the same: what is left is the space's rules."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return torch.zeros(len(graph))


class ManyEdges(Guide):
    """Wants what the rules forbid."""

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return 3.0 * (graph.edges == 1).sum((1, 2))


def wrong_about_edges(space: Space) -> Denoiser:
    """A denoiser by which most graphs have too many edges."""
    torch.manual_seed(0)
    denoiser = Denoiser(space.template, width=16, layers=1, heads=2)
    torch.nn.init.constant_(denoiser.edge_head.bias, 1.0)
    return denoiser


@pytest.mark.parametrize("corrections", [0, 4])
@pytest.mark.parametrize("steps", [2, 32])
def test_guided_graphs_keep_the_rules_that_the_denoiser_breaks(corrections: int, steps: int) -> None:
    space = few_edges(mixed().template)
    generator = Generator(space, wrong_about_edges(space))
    assert generator.sample(500).valid_rate < 0.4
    guide, sampling = Level(), SamplerConfig(steps=steps, corrections=corrections)
    samples = generator.sample(512, guides=[guide], sampling=sampling)
    assert samples.valid_rate == 1.0
    assert all(len(arch.edges) <= 1 for arch in samples.archs)
    assert len(set(samples.archs)) > 5
    arch = next(arch for arch in space.enumerate() if arch.edges)
    assert generator.mutate(arch, 0.6, 256, guides=[guide], sampling=sampling).valid_rate == 1.0
    fixed = generator.sample(256, guides=[guide], fixed="a->b=present", sampling=sampling)
    assert {arch.edges for arch in fixed.archs} == {((0, 1),)}
    assert fixed.valid_rate == 1.0


def test_where_guides_ask_for_what_rules_forbid_corrections_lead_back() -> None:
    """Nothing is said of partly masked graphs, so that whole islands follow such a guide to where no rule is kept."""
    space = few_edges(mixed().template)
    generator = Generator(space, wrong_about_edges(space))
    rates = [
        generator.sample(640, guides=[ManyEdges()], sampling=SamplerConfig(corrections=corrections)).valid_rate
        for corrections in (0, 4, 16, 50)
    ]
    assert rates == sorted(rates)
    assert rates[1] > rates[0] + 0.1
    assert rates[-1] == 1.0


def test_beyond_the_rules_nothing_is_tilted() -> None:
    """The target of a guide to which all is equal is the denoiser's own distribution of what keeps the rules."""
    space = few_edges(mixed().template)
    generator = Generator(space, wrong_about_edges(space))
    free = Counter(arch.key for arch in generator.sample(20_000, seed=1).archs)
    guided = Counter(arch.key for arch in generator.sample(6400, guides=[Level()], seed=2).archs)
    assert set(free) == set(guided) == {arch.key for arch in space.enumerate()}
    apart = sum(abs(free[key] / free.total() - guided[key] / guided.total()) for key in free) / 2
    assert apart < 0.06


def test_unguided_graphs_are_raw() -> None:
    ruled, free = few_edges(mixed().template), mixed()
    denoiser = wrong_about_edges(free)
    samples, raw = (Generator(space, denoiser).sample(300, seed=5) for space in (ruled, free))
    assert samples.archs == tuple(arch for arch in raw.archs if not ruled.problems(arch))
    assert 0 < samples.valid_rate < 1 == raw.valid_rate
    off = Level()
    off.strength = 0.0
    assert Generator(ruled, denoiser).sample(300, guides=[off], seed=5) == samples


def test_rules_are_asked_only_of_spaces_that_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Space] = []

    class Noted(RulesGuide):
        def __init__(self, space: Space) -> None:
            made.append(space)
            super().__init__(space)

    monkeypatch.setattr(module, "RulesGuide", Noted)
    for space in (mixed(), get_space("nasbench201"), get_space("nasbench_graph")):
        generator = Generator(space, Denoiser(space.template, width=16, layers=1, heads=2))
        assert not space.has_rules
        generator.sample(8, guides=[Level()], sampling=SamplerConfig(particles=8))
    assert made == []
    ruled = few_edges(mixed().template)
    generator = Generator(ruled, wrong_about_edges(ruled))
    generator.sample(8)
    generator.mutate(next(ruled.enumerate()), 0.5, 8)
    assert made == []
    generator.sample(8, guides=[Level()], sampling=SamplerConfig(particles=8))
    generator.mutate(next(ruled.enumerate()), 0.5, 8, guides=[Level()], sampling=SamplerConfig(particles=8))
    assert made == [ruled, ruled]


@pytest.mark.parametrize("particles", [1, 16])
def test_what_no_completion_keeps_gives_no_archs(particles: int) -> None:
    space = few_edges(mixed().template)
    generator = Generator(space, wrong_about_edges(space))
    samples = generator.sample(
        32, guides=[ManyEdges()], fixed="a->b=present, b->c=present", sampling=SamplerConfig(particles=particles)
    )
    assert samples.archs == ()
    assert samples.sampled == 32
    assert samples.valid_rate == 0.0
    assert math.isfinite(samples.effective_share)


def test_cells_of_nasbench101_keep_their_rules() -> None:
    """A denoiser that knows nothing finds hardly any valid cell; the last decision and the particles do."""
    space = get_space("nasbench101")
    torch.manual_seed(0)
    generator = Generator(space, Denoiser(space.template, width=16, layers=1, heads=2))
    arch = space.parse("1101/010/01/1 conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu")
    raw = generator.mutate(arch, 0.15, 256, seed=1)
    assert raw.valid_rate < 0.5
    guided = generator.mutate(arch, 0.15, 256, guides=[Level()], seed=1)
    assert guided.valid_rate > 0.97
    assert len(set(guided.archs)) > 3
