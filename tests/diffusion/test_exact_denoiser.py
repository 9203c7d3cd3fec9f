"""The exact denoiser draws uniformly, completes partial archs, and is tilted exactly by exact guides."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from parts_spaces import Cells, DepthChain, Ops, TwoCells
from scipy.stats import chisquare

from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel, CostObjectiveGuide
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.spaces import PartsSpace, get_space
from gennas.tasks import Task

TASK = Task("small", (3, 16, 16), 5)


def test_which_spaces_are_exact() -> None:
    assert DepthChain().is_exact
    assert TwoCells().is_exact
    assert get_space("nasbench201").is_exact
    # Rules, interchangeable slots.
    assert not get_space("nasbench101").is_exact
    assert not get_space("nasbench_graph").is_exact


@pytest.mark.parametrize("space_class", [DepthChain, Cells])
def test_draws_uniformly(space_class: type[PartsSpace]) -> None:
    space = space_class()
    samples = Generator(space, ExactDenoiser(space)).sample(5_000, seed=0)
    assert samples.valid_rate == 1
    counts = Counter(arch.key for arch in samples.archs)
    observed = [counts[arch.key] for arch in space.enumerate()]
    assert chisquare(observed).pvalue > 1e-3


def test_completes_partial_archs() -> None:
    space = DepthChain()
    partial = space.partial("depth_chain:k3/?.3/?-?-e1-e2-?")
    samples = Generator(space, ExactDenoiser(space)).sample(500, fixed=partial, seed=0)
    agree = [
        arch.key
        for arch in space.enumerate()
        if all(given in (None, op) for given, op in zip(partial.ops, arch.ops, strict=True))
    ]
    assert len(agree) == 12
    assert {arch.key for arch in samples.archs} == set(agree)


def test_a_cost_tilts_exactly() -> None:
    space = Ops()
    metric = Metric.parse("params_m")
    costs = CostModel(space, TASK, metric)
    generator = Generator(space, ExactDenoiser(space))
    guided = generator.sample(4_096, guides=[CostObjectiveGuide(costs, 1.0)], seed=1).archs
    archs = list(space.enumerate())
    weights = costs.scores(archs).exp()
    of = {arch.key: [op == "conv" for op in arch.ops].count(True) for arch in archs}
    shares = np.bincount([of[arch.key] for arch in archs], weights / weights.sum(), minlength=9)
    observed = np.bincount([of[arch.key] for arch in guided], minlength=9)
    pooled = np.array([[shares[:2].sum(), *shares[2:6], shares[6:].sum()]]) * len(guided)
    seen = np.array([[observed[:2].sum(), *observed[2:6], observed[6:].sum()]])
    # Particles of an island depend on each other, which widens the statistic somewhat.
    assert ((seen - pooled) ** 2 / pooled).sum() < 4 * 20.5


def test_bounds_are_kept() -> None:
    space = DepthChain()
    middle = float(np.median([space.costs(arch, TASK)["macs_m"] for arch in space.enumerate()]))
    bound = Constraint.parse(f"macs_m <= {middle}")
    guide = CostConstraintGuide(CostModel(space, TASK, bound.metric), bound)
    generator = Generator(space, ExactDenoiser(space))
    kept = [
        np.mean([bound.holds(space.costs(arch, TASK)["macs_m"]) for arch in generator.sample(512, guides=guides).archs])
        for guides in ([], [guide])
    ]
    assert kept[1] == 1 > 0.7 > kept[0]


def test_contradictions_lead_to_no_arch() -> None:
    space = DepthChain()
    graph = GraphBatch.from_partial(space.partial("depth.2=d0, expansion.2.1=e1"), space.template, 2)
    log_probs = ExactDenoiser(space).log_probs(graph)
    assert log_probs.exp().sum(2) == pytest.approx(np.ones(log_probs.shape[:2]), abs=1e-6)
