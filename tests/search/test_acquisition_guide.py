"""The guide draws archs with probability proportional to exp(strength * worth), whatever its foresight says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor
from toys import Twins, mixed, partly_masked, uniform_log_probs

from gennas.arch import Arch
from gennas.diffusion.sampler import FLOOR, SamplerConfig, sample
from gennas.graph import GraphBatch
from gennas.search.acquisition_guide import PARTICLES, AcquisitionGuide, mean_of_trees
from gennas.spaces import Space

SPACE = mixed()
ARCHS = list(SPACE.enumerate())
WORTH = dict(zip((arch.key for arch in ARCHS), np.random.default_rng(5).normal(size=len(ARCHS)), strict=True))


def acquisition_values(archs: Sequence[Arch]) -> Tensor:
    return torch.tensor([WORTH[arch.key] for arch in archs], dtype=torch.double)


def guide_of(space: Space = SPACE, strength: float = 1.0) -> AcquisitionGuide:
    return AcquisitionGuide(space, acquisition_values, strength, ARCHS[:24], seed=0)


def test_whole_archs_count_exactly_and_are_kept() -> None:
    guide = guide_of(strength=2.0)
    graph = GraphBatch.from_archs(ARCHS, SPACE.template)
    logs = guide.log_values(graph, torch.zeros(len(ARCHS), dtype=torch.long))
    np.testing.assert_allclose(logs.numpy(), [2 * WORTH[arch.key] for arch in ARCHS], rtol=1e-5)
    assert guide.candidates == {arch: WORTH[arch.key] for arch in ARCHS}


def test_partly_masked_archs_have_finite_values_between_the_extremes() -> None:
    guide = guide_of()
    logs = guide.log_values(partly_masked(SPACE, 40), torch.arange(40))
    assert logs.isfinite().all()
    assert logs.min() >= min(WORTH.values()) - 1e-5
    assert logs.max() <= max(WORTH.values()) + 1e-5


def test_samples_follow_the_worth_though_the_foresight_saw_half_of_the_space() -> None:
    size = 64 * PARTICLES
    graph = GraphBatch.undecided_batch(SPACE.template, size)
    sampling = SamplerConfig(particles=PARTICLES, corrections=8)
    done = sample(uniform_log_probs, graph, torch.Generator().manual_seed(0), [guide_of()], sampling)
    found = Counter(arch.key for arch in done.graph.to_archs(SPACE) if arch is not None)
    share = np.array([found[arch.key] for arch in ARCHS]) / size
    wanted = np.exp([WORTH[arch.key] for arch in ARCHS])
    wanted /= wanted.sum()
    # Total variation; 4,096 independent draws from 48 archs have about 0.04.
    assert 0.5 * np.abs(share - wanted).sum() < 0.12
    uniform = np.full(len(ARCHS), 1 / len(ARCHS))
    assert 0.5 * np.abs(uniform - wanted).sum() > 0.3


def test_guides_share_the_archs_that_they_read() -> None:
    archs: dict[bytes, Arch | None] = {}
    graph = GraphBatch.from_archs(ARCHS, SPACE.template)
    row = torch.zeros(len(ARCHS), dtype=torch.long)
    logs = [
        AcquisitionGuide(SPACE, acquisition_values, 1.0, ARCHS[:24], 0, archs).log_values(graph, row) for _ in range(2)
    ]
    assert torch.equal(*logs)
    assert set(archs.values()) == set(ARCHS)


def test_archs_are_known_by_the_numbering_of_their_space() -> None:
    twins = Twins()

    def one(archs: Sequence[Arch]) -> Tensor:
        assert archs == twins.canonicalised(list(archs))
        return torch.ones(len(archs), dtype=torch.double)

    every = list(twins.enumerate())
    guide = AcquisitionGuide(twins, one, 1.0, every, seed=0)
    graph = GraphBatch.from_archs(every, twins.template).permuted(twins, np.random.default_rng(0))
    logs = guide.log_values(graph, torch.zeros(len(graph), dtype=torch.long))
    assert (logs == 1).all()
    assert set(guide.candidates) <= set(every)
    assert FLOOR < 0


def test_the_mean_of_trees_is_what_the_forest_predicts() -> None:
    rng = np.random.default_rng(0)
    inputs, values = rng.normal(size=(50, 4)), rng.normal(size=50)
    forest = ExtraTreesRegressor(20, random_state=0).fit(inputs, values)
    asked = rng.normal(size=(30, 4))
    np.testing.assert_allclose(mean_of_trees(forest.estimators_, asked), forest.predict(asked))
