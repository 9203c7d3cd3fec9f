"""Generator: what it draws, how it counts what it drew, and that a checkpoint gives back the same one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import mixed, toy

from gennas.arch import Arch
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, Samples, load_generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.sampler import LogProbs, SamplerConfig, SamplerOutput, sample
from gennas.errors import DataMissingError, InvalidArchError, InvalidInputError, UnknownNameError
from gennas.graph import GraphBatch
from gennas.part_files import write_part
from gennas.spaces import Space, get_space
from gennas.spaces.template import Template


def generator_of(space: Space, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(space, Denoiser(space.template, width=16, layers=1, heads=2))


class Absent(Guide):
    """Wants no edges."""

    def __init__(self, height: float = 100.0) -> None:
        self.height = height

    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return -self.height * (graph.edges == 1).sum((1, 2))


class FewEdges(type(mixed())):  # type: ignore[misc]
    def rule_problems(self, arch: Arch) -> list[str]:
        return [] if len(arch.edges) <= 1 else [f"{len(arch.edges)} edges"]


def test_the_seed_decides() -> None:
    generator = generator_of(get_space("nasbench201"))
    first, again, other = (generator.sample(40, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first.archs != other.archs
    assert generator_of(get_space("nasbench201")).sample(40, seed=7) == first, "earlier samples have no effect"
    rng = torch.Generator().manual_seed(7)
    assert generator.sample(40, seed=rng) == first
    assert generator.sample(40, seed=rng) != first, "the state of a torch generator is advanced"


def test_every_arch_is_valid_where_the_template_says_all() -> None:
    space = get_space("nasbench201")
    samples = generator_of(space).sample(100)
    assert samples.sampled == len(samples.archs) == 100
    assert samples.valid_rate == 1.0
    assert not any(space.problems(arch) for arch in samples.archs)
    assert 0.5 < samples.unique_rate <= 1


def test_broken_rules_are_counted_and_not_repaired() -> None:
    space = FewEdges()
    samples = generator_of(space).sample(400)
    free = generator_of(mixed()).sample(400)
    assert samples.archs == tuple(arch for arch in free.archs if len(arch.edges) <= 1)
    assert 0 < samples.valid_rate < 1
    assert samples.valid_rate == len(samples.archs) / 400


def test_rates_of_nothing() -> None:
    assert Samples((), 0).valid_rate == Samples((), 0).unique_rate == 0.0
    assert Samples((), 5).valid_rate == 0.0
    assert generator_of(mixed()).sample(0) == Samples((), 0)


def test_guides_reach_the_sampler() -> None:
    samples = generator_of(mixed()).sample(30, guides=[Absent()])
    assert all(arch.edges == () for arch in samples.archs)
    assert 0 < samples.effective_share <= 1


@pytest.mark.parametrize(("n", "particles"), [(1, 64), (30, 64), (65, 64), (7, 4), (8, 4), (3, 1), (0, 8)])
def test_as_many_come_back_as_were_asked_whatever_the_particles(n: int, particles: int) -> None:
    generator, sampling = generator_of(mixed()), SamplerConfig(particles=particles)
    arch = next(mixed().enumerate())
    for guides in ([], [Absent()]):
        drawn = generator.sample(n, guides=guides, sampling=sampling)
        varied = generator.mutate(arch, 0.5, n, guides=guides, sampling=sampling)
        assert drawn.sampled == varied.sampled == len(drawn.archs) == len(varied.archs) == n


def test_a_guide_of_strength_0_is_no_guide() -> None:
    class Off(Absent):
        strength = 0.0

    generator, arch = generator_of(mixed()), next(mixed().enumerate())
    assert generator.sample(30, guides=[Off()]) == generator.sample(30)
    assert generator.mutate(arch, 0.5, 30, guides=[Off()]) == generator.mutate(arch, 0.5, 30)
    assert generator.sample(30).effective_share == 1.0


FIXED = {
    "a=q, b->c=present": (0, "q", (1, 2), True),
    "b = s , a->b = absent": (1, "s", (0, 1), False),
    '[["q", "?", "s"], [[1, 2]], [[0, 1], [0, 2]]]': (0, "q", (1, 2), True),
}


@pytest.mark.parametrize("text", FIXED)
@pytest.mark.parametrize("guided", [False, True])
def test_what_is_fixed_stays_and_all_else_varies(text: str, guided: bool) -> None:
    slot, op, edge, present = FIXED[text]
    generator = generator_of(mixed())
    archs = generator.sample(200, guides=[Absent(2.0)] if guided else [], fixed=text).archs
    assert len(archs) == 200
    for arch in archs:
        assert arch.ops[slot] == op
        assert (edge in arch.edges) == present
    assert len({arch.ops for arch in archs}) == (2 if slot == 0 else 3)
    free = {(0, 1), (0, 2), (1, 2)} - {edge}
    for other in free:
        assert {other in arch.edges for arch in archs} == {True, False}
    assert generator.sample(20, fixed=mixed().partial(text)) == generator.sample(20, fixed=text)


def test_nothing_fixed_is_sampling() -> None:
    generator = generator_of(mixed())
    assert generator.sample(20, fixed='[["?", "?", "s"], [], [[0, 1], [0, 2], [1, 2]]]') == generator.sample(20)


def test_a_whole_arch_is_its_only_completion() -> None:
    arch = list(mixed().enumerate())[17]
    samples = generator_of(mixed()).sample(5, fixed=arch.key, guides=[Absent()])
    assert samples.archs == (arch,) * 5
    assert samples.effective_share == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a=s", r"unknown operation of slot a 's'\. .*p, q, r"),
        ("b=p", "unknown operation of slot b 'p'"),
        ("d=p", r"unknown free slot or edge of toy 'd'\. .*a->b"),
        ("a->c=maybe", "edge a->c is 'maybe'; must be 'present' or 'absent'"),
        ("c->a=present", "unknown free slot or edge of toy 'c->a'. Did you mean"),
        ("a=p, b", "unknown free slot or edge of toy|unknown operation of slot b ''"),
        ("nonsense", "'nonsense' is not a valid toy"),
        ('[["p", "s"], []]', "2 operations for 3 slots"),
        ('[["s", "?", "s"], []]', "slot a has operation 's'; allowed: p, q, r"),
        ('[["zz", "?", "s"], []]', "slot a has operation 'zz'; allowed: p, q, r"),
        ('[["p", "?", "s"], [[1, 0]]]', "edge b->a is not allowed"),
    ],
)
def test_what_cannot_be_fixed(text: str, words: str) -> None:
    with pytest.raises(InvalidArchError, match=words):
        generator_of(mixed()).sample(5, fixed=text)


def differences(samples: Samples, arch: Arch, template: Template) -> Tensor:
    """``(n, D)`` which decisions of every sample are not those of the arch."""
    choices = GraphBatch.from_archs(samples.archs, template).choices()
    return choices != GraphBatch.from_archs([arch], template).choices()


@pytest.mark.parametrize(("fraction", "masked"), [(0.01, 1), (0.2, 1), (0.4, 2), (0.61, 3), (0.99, 5), (1.0, 5)])
def test_mutate_masks_a_fraction_of_the_decisions_with_any_sampler(fraction: float, masked: int) -> None:
    starts = []

    def recording(
        log_probs: LogProbs,
        graph: GraphBatch,
        rng: torch.Generator,
        guides: Sequence[Guide] = (),
        sampling: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
    ) -> SamplerOutput:
        starts.append(graph)
        return sample(log_probs, graph, rng, guides, sampling)

    arch = list(mixed().enumerate())[20]
    generator = Generator(mixed(), generator_of(mixed()).denoiser, sampler=recording)
    samples = generator.mutate(arch, fraction, 300)
    (start,) = starts
    assert (start.masked_decisions().sum(1) == masked).all()
    assert start.masked_decisions().any(0).all(), "every decision has its turn"
    whole = GraphBatch.from_archs([arch], mixed().template).choices()
    assert (start.masked_decisions() | (start.choices() == whole)).all()
    differing = differences(samples, arch, mixed().template).sum(1)
    assert differing.max() == masked
    assert differing.min() == 0 or masked > 3


@pytest.mark.parametrize("particles", [1, 16])
@pytest.mark.parametrize("corrections", [0, 4])
def test_guided_variations_differ_in_no_more_decisions(particles: int, corrections: int) -> None:
    arch = next(arch for arch in mixed().enumerate() if len(arch.edges) == 3)
    sampling = SamplerConfig(particles=particles, corrections=corrections)
    for fraction, masked in ((0.2, 1), (0.4, 2)):
        samples = generator_of(mixed()).mutate(arch, fraction, 160, guides=[Absent(2.0)], sampling=sampling)
        differing = differences(samples, arch, mixed().template)
        assert differing.sum(1).max() <= masked
        assert differing[:, 2:].any(), "the guide is heeded"


def test_a_variation_of_everything_forgets_the_arch() -> None:
    generator, archs = generator_of(mixed()), list(mixed().enumerate())
    first, other = (generator.mutate(arch, 1.0, 50, seed=3) for arch in (archs[0], archs[-1]))
    assert first == other


def test_the_seed_decides_variations() -> None:
    generator, arch = generator_of(mixed()), list(mixed().enumerate())[5]
    first, again, other = (generator.mutate(arch, 0.5, 40, seed=seed) for seed in (7, 7, 8))
    assert first == again != other
    rng = torch.Generator().manual_seed(7)
    assert generator.mutate(arch, 0.5, 40, seed=rng) == first
    assert generator.mutate(arch, 0.5, 40, seed=rng) != first


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fractions_out_of_range(fraction: float) -> None:
    with pytest.raises(InvalidInputError, match=f"fraction is {fraction:g}; must be in .0, 1.; 1 resamples"):
        generator_of(mixed()).mutate(next(mixed().enumerate()), fraction, 4)


def test_broken_variations_are_counted() -> None:
    space = FewEdges()
    arch = space.arch("prs", [])
    samples = generator_of(space).mutate(arch, 1.0, 200)
    assert samples.valid_rate == len(samples.archs) / 200 < 1


def test_nasbench201_in_its_own_notation() -> None:
    space = get_space("nasbench201")
    text = "|nor_conv_3x3~0|+|?~0|skip_connect~1|+|?~0|nor_conv_1x1~1|none~2|"
    archs = generator_of(space).sample(100, fixed=text).archs
    ops = space.template.vocabulary[1:6]
    completions = {text.replace("?", first, 1).replace("?", second, 1) for first in ops for second in ops}
    assert {arch.key for arch in archs} <= completions
    assert len({arch.key for arch in archs}) > 10


def test_a_checkpoint_gives_back_the_same_generator(tmp_path: Path) -> None:
    space = get_space("nasbench201")
    generator = generator_of(space, seed=3)
    config = {"space": "nasbench201", "denoiser": generator.denoiser.config}
    write_part(tmp_path, "generator", config, generator.denoiser.state_dict(), {}, "# card\n")
    loaded = load_generator(tmp_path, skeleton="cells=2")
    assert loaded.sample(50, seed=1) == generator.sample(50, seed=1)
    assert loaded.space.skeleton == {"channels": 16, "cells": 2}
    assert not loaded.denoiser.training
    with pytest.raises(UnknownNameError, match="skeleton setting of nasbench201 'cell'"):
        load_generator(tmp_path, skeleton="cell=2")


def test_no_checkpoint_no_generator(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"has no generator .* gennas pretrain generator --out"):
        load_generator(tmp_path)


def test_a_space_of_one_decision() -> None:
    space = mixed().template
    single = toy(Template(space.slots[:1], space.vocabulary, space.allowed[:1], space.edges[:1, :1]))
    assert {arch.ops for arch in generator_of(single).sample(60).archs} == {("p",), ("q",), ("r",)}
