"""Draws that are uniform pass, and draws that are not are told by what they differ in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from parts_spaces import DepthChain

from gennas.arch import Arch
from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.uniformity import exact_quality, uniformity
from gennas.errors import InvalidInputError
from gennas.spaces import get_space

NB201, CHAIN = get_space("nasbench201"), DepthChain()
RNG = np.random.default_rng


def cells(ops: np.ndarray) -> list[Arch]:
    """Cells with these ``(N, 6)`` of their five operations."""
    words = np.array(NB201.template.vocabulary[1:-1])[ops]
    return [NB201.arch(("input", *row, "output")) for row in words.tolist()]


def test_uniform_draws_pass() -> None:
    found = uniformity(NB201, cells(RNG(0).integers(5, size=(5000, 6))))
    # 6 decisions and 15 pairs.
    assert (found.draws, found.tests, found.rejected, found.impossible) == (5000, 21, 0, 0)
    assert found.is_uniform


@pytest.mark.parametrize("has_reference", [False, True])
def test_a_decision_that_is_off_is_named(has_reference: bool) -> None:
    rng = RNG(1)
    ops = rng.integers(5, size=(5000, 6))
    ops[:, 2] = np.where(rng.random(5000) < 0.1, 0, ops[:, 2])
    reference = cells(rng.integers(5, size=(5000, 6))) if has_reference else None
    found = uniformity(NB201, cells(ops), reference=reference)
    assert not found.is_uniform
    assert NB201.template.slots[3] in found.place


@pytest.mark.parametrize("has_reference", [False, True])
def test_a_pair_that_is_off_is_named_though_each_decision_is_uniform(has_reference: bool) -> None:
    rng = RNG(2)
    ops = rng.integers(5, size=(5000, 6))
    ops[:, 4] = np.where(rng.random(5000) < 0.2, ops[:, 1], ops[:, 4])
    reference = cells(rng.integers(5, size=(5000, 6))) if has_reference else None
    found = uniformity(NB201, cells(ops), reference=reference)
    assert found.rejected == 1
    assert found.place == f"{NB201.template.slots[2]} and {NB201.template.slots[5]}"


def archs_of_uniform_choices(rng: np.random.Generator, count: int) -> Sequence[Arch]:
    """Every depth as often as the others, which uniform archs have not."""
    by_depth: dict[str, list[Arch]] = {}
    for arch in CHAIN.enumerate():
        by_depth.setdefault(next(op for op in arch.ops if op.startswith("d")), []).append(arch)
    groups = list(by_depth.values())
    return [group[rng.integers(len(group))] for group in (groups[rng.integers(len(groups))] for _ in range(count))]


def test_uniform_over_choices_is_not_uniform_over_archs() -> None:
    drawn = [CHAIN.sample(RNG(seed)) for seed in range(2000)]
    assert uniformity(CHAIN, drawn).is_uniform
    found = uniformity(CHAIN, archs_of_uniform_choices(RNG(0), 2000))
    assert not found.is_uniform
    assert found.impossible == 0


def test_the_sampler_draws_uniformly() -> None:
    found = exact_quality(Generator(CHAIN, ExactDenoiser(CHAIN)), 2000, seed=0)
    assert found["valid_rate"] == 1
    assert found["rejected"] == found["impossible"] == 0
    assert found["least_p_value"] >= 0.01


def test_spaces_without_known_probabilities_are_held_against_their_own_draws() -> None:
    space = get_space("nasbench_graph")
    drawn = [space.sample(RNG(seed)) for seed in range(1000)]
    assert uniformity(space, drawn, seed=5).is_uniform
    assert not uniformity(space, [arch for arch in drawn if arch.ops[1] != drawn[0].ops[1]], seed=5).is_uniform


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="99 draws are too few"):
        uniformity(NB201, cells(RNG(0).integers(5, size=(99, 6))))
