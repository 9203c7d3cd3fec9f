"""A compiled denoiser draws what it draws as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from toys import StubPredictor, mixed

from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.predicted import ObjectiveGuide, ScoreSource
from gennas.diffusion.sampler import SamplerConfig
from gennas.metrics import Metric
from gennas.spaces import Space, get_space

pytestmark = pytest.mark.filterwarnings("ignore:.*lru_cache.*")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The options of every compilation, whose graphs are traced as ever but not turned into machine code: that takes
    half a minute and a C++ compiler."""
    asked: list[dict[str, Any]] = []
    real = torch.compile

    def traced(function: Callable[..., Any], **options: Any) -> Any:
        asked.append(options)
        return real(function, **{**options, "backend": "eager"})

    monkeypatch.setattr(torch, "compile", traced)
    torch._dynamo.reset()
    yield asked
    torch._dynamo.reset()


def denoiser_of(space: Space) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(space.template, width=16, layers=1, heads=2)


@pytest.mark.parametrize("space", [mixed(), get_space("nasbench201")], ids=lambda space: space.name)
def test_a_compiled_denoiser_draws_the_same(space: Space, compiled: list[dict[str, Any]]) -> None:
    denoiser = denoiser_of(space)
    plain, fast = Generator(space, denoiser), Generator(space, denoiser, compile=True)
    assert compiled == [{"dynamic": True}]
    # Numbers of graphs, and of decisions at once, that come for the first time, and one that was there before.
    for n, steps in ((40, 32), (1, 32), (7, 3), (40, 2), (0, 32)):
        assert fast.sample(n, sampling=SamplerConfig(steps=steps), seed=n) == plain.sample(
            n, sampling=SamplerConfig(steps=steps), seed=n
        )
    assert fast.sample(40, seed=1).archs != plain.sample(40, seed=2).archs
    arch = space.sample(np.random.default_rng(0))
    assert fast.mutate(arch, 0.4, 20) == plain.mutate(arch, 0.4, 20)


def test_guided_sampling_and_completion_are_the_same(compiled: list[dict[str, Any]]) -> None:
    space, name = mixed(), "accuracy@cifar10"
    denoiser, sampling = denoiser_of(space), SamplerConfig(particles=8)
    drawn = []
    for generator in (Generator(space, denoiser), Generator(space, denoiser, compile=True)):
        guide = ObjectiveGuide(ScoreSource(StubPredictor((name,)), {name: (name,)}), Metric.parse(name), 2.0)
        drawn.append(generator.sample(30, guides=[guide], fixed="a=q, b->c=present", sampling=sampling))
    assert drawn[0] == drawn[1]
    assert len(compiled) == 1


def test_nothing_is_compiled_unasked(compiled: list[dict[str, Any]]) -> None:
    Generator(mixed(), denoiser_of(mixed())).sample(5)
    assert compiled == []
