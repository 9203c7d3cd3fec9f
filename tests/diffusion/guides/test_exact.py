"""ExactGuide: the log-mean over all completions, for every partly masked graph."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from guide_checks import asked, check_values
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import completions, mixed, partly_masked, templates, toy

from gennas.arch import Arch
from gennas.diffusion.guides.exact import LARGEST, ExactGuide
from gennas.errors import InvalidInputError
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Space, get_space
from gennas.spaces.template import FREE, Template


def every_graph(space: Space) -> GraphBatch:
    """Every partly masked graph of a template."""
    allowed = decisions_of(space.template).allowed
    choices = torch.cartesian_prod(*(torch.tensor([MASK, *row.nonzero().flatten().tolist()]) for row in allowed))
    choices = choices.reshape(-1, len(allowed))
    decisions = torch.arange(len(allowed)).expand(len(choices), -1)
    return GraphBatch.undecided_batch(space.template, len(choices)).decide(decisions, choices)


def brute_force(space: Space, graph: GraphBatch, values: dict[str, float], strength: float) -> list[float]:
    expected = []
    for row in range(len(graph)):
        f = np.array([values[arch.key] for arch in completions(graph[torch.tensor([row])], space)])
        expected.append(float(np.log(np.mean(np.exp(strength * f)))) if len(f) else -math.inf)
    return expected


class FewEdges(type(mixed())):  # type: ignore[misc]
    def rule_problems(self, arch: Arch) -> list[str]:
        return [] if len(arch.edges) <= 1 else [f"{len(arch.edges)} edges"]


@pytest.mark.parametrize("space", [mixed(), FewEdges()], ids=["all", "few edges"])
@pytest.mark.parametrize("strength", [1.0, 5.0, -2.0])
def test_values_of_every_partly_masked_graph(space: Space, strength: float) -> None:
    archs = list(space.enumerate())
    f = np.random.default_rng(0).normal(size=len(archs))
    guide = ExactGuide(space.template, archs, f, strength)
    graph = every_graph(space)
    assert len(graph) == 4 * 3 * 3**3
    some = graph[torch.randperm(len(graph), generator=torch.Generator().manual_seed(0))[:60]]
    values = {arch.key: value for arch, value in zip(archs, f.tolist(), strict=True)}
    expected = brute_force(space, some, values, strength)
    assert guide.strength == strength
    assert guide.log_values(some, torch.arange(60)).tolist() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=15)
@given(templates(slots=3), st.integers(0, 2**31))
def test_values_on_random_templates(template: Template, seed: int) -> None:
    space = toy(template)
    archs = list(space.enumerate())
    f = np.random.default_rng(seed).normal(size=len(archs))
    guide = ExactGuide(template, archs, f, 1.5)
    graph = partly_masked(space, 6, seed)
    values = {arch.key: value for arch, value in zip(archs, f.tolist(), strict=True)}
    expected = brute_force(space, graph, values, 1.5)
    assert guide.log_values(graph, torch.arange(6)).tolist() == pytest.approx(expected, abs=1e-5)
    check_values(guide, graph, torch.arange(6), asked(graph, 3))


def test_large_values_do_not_overflow() -> None:
    archs = list(mixed().enumerate())
    f = np.linspace(-1, 1, 48)
    guide = ExactGuide(mixed().template, archs, f, 2000.0)
    value = guide.log_values(GraphBatch.undecided_batch(mixed().template, 1), torch.arange(1))
    assert float(value) == pytest.approx(2000 - math.log(48), abs=0.01)


def test_templates_that_are_too_large() -> None:
    allowed = np.ones((17, 2), dtype=bool)
    binary = Template(tuple(map(str, range(17))), ("x", "y"), allowed, np.zeros((17, 17), np.int8))
    assert LARGEST < 3**17
    with pytest.raises(InvalidInputError, match=r"has 1\.29e\+8 partly masked graphs; .* at most 33,554,432"):
        ExactGuide(binary, [], np.array([]), 1.0)
    allowed = np.ones((40, 2), dtype=bool)
    edges = np.triu(np.full((40, 40), FREE, np.int8), 1)
    with pytest.raises(InvalidInputError, match=r"has 1\.74e\+391 partly masked graphs"):
        ExactGuide(Template(tuple(map(str, range(40))), ("x", "y"), allowed, edges), [], np.array([]), 1.0)


def test_all_of_nasbench201_fits() -> None:
    space = get_space("nasbench201")
    archs = list(space.enumerate())
    f = np.arange(len(archs)) / len(archs)
    guide = ExactGuide(space.template, archs, f, 3.0)
    graph = GraphBatch.undecided_batch(space.template, 1)
    assert float(guide.log_values(graph, torch.arange(1))) == pytest.approx(np.log(np.exp(3 * f).mean()), abs=1e-5)
