"""Generator: what it draws, how it counts what it drew, and that a checkpoint gives back the same one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import mixed, toy

from gennas.arch import Arch
from gennas.checkpoint import write_part
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, Samples, load_generator
from gennas.diffusion.guidance import Guide
from gennas.errors import DataMissingError, UnknownNameError
from gennas.graph import GraphBatch
from gennas.spaces import Space, get_space
from gennas.spaces.base import Template


def generator_of(space: Space, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(space, Denoiser(space.template, width=16, layers=1, heads=2))


class FewEdges(type(mixed())):  # type: ignore[misc]
    def rule_problems(self, arch: Arch) -> list[str]:
        return [] if len(arch.edges) <= 1 else [f"{len(arch.edges)} edges"]


def test_the_seed_decides() -> None:
    generator = generator_of(get_space("nasbench201"))
    first, again, other = (generator.sample(40, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first.archs != other.archs
    assert generator_of(get_space("nasbench201")).sample(40, seed=7) == first, "what it drew before leaves no trace"
    rng = torch.Generator().manual_seed(7)
    assert generator.sample(40, seed=rng) == first
    assert generator.sample(40, seed=rng) != first, "a torch generator goes on"


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
    class Absent(Guide):
        def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
            return -100.0 * (graph.edges == 1).sum((1, 2))

    assert all(arch.edges == () for arch in generator_of(mixed()).sample(30, guides=[Absent()]).archs)


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
