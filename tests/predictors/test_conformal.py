"""Residuals: Gaussian before they are fitted, then calibrated on the calibration archs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor
from toys import StubPredictor, drawn, mixed

from gennas.diffusion.guides.predicted import ConstraintGuide, ScoreSource
from gennas.graph import GraphBatch
from gennas.metrics import Constraint
from gennas.predictors.conformal import BINS, PER_BIN, Residuals
from gennas.predictors.gnn import GNNPredictor

seeds = st.integers(0, 2**31)


def bimodal(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and errors that jump: of low ones far more often than of high ones."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=count)
    jumps = rng.random(count) < np.where(mean < 0, 0.5, 0.1)
    return mean, rng.normal(size=count) * 0.1 + jumps * 2 - 0.3


@given(seeds)
def test_errors_are_gaussian_before_fitting(seed: int) -> None:
    mean, margin = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(seed)) * 3
    assert torch.allclose(Residuals(2).normal_quantile(1, mean, margin), margin, atol=1e-5)


def test_too_few_archs_change_nothing() -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(0, PER_BIN - 1))
    assert residuals.edges.isinf().all()
    margin = torch.linspace(-5, 5, 21)
    assert torch.allclose(residuals.normal_quantile(0, torch.zeros(21), margin), margin, atol=1e-5)


@pytest.mark.parametrize("count", [PER_BIN, 900, 20_000])
def test_gaussian_errors_stay_gaussian(count: int) -> None:
    rng = np.random.default_rng(0)
    residuals = Residuals(1)
    residuals.fit(0, rng.normal(size=count), rng.normal(size=count))
    assert int(residuals.edges.isfinite().sum()) == min(count // PER_BIN, BINS) - 1
    margin = torch.linspace(-1.5, 1.5, 13)
    for mean in (-1.0, 0.0, 1.0):
        found = residuals.normal_quantile(0, torch.full((13,), mean), margin)
        assert torch.allclose(found, margin, atol=0.5 if count < 20_000 else 0.2)


def test_bounds_hold_as_often_as_they_say() -> None:
    residuals = Residuals(2)
    mean, errors = bimodal(0, 20_000)
    residuals.fit(1, mean, errors)
    fresh, truth = bimodal(1, 20_000)
    for low, high in ((-9, -0.5), (0.5, 9)):
        at = (fresh > low) & (fresh < high)
        for margin in (-0.4, -0.2, 0.5, 1.6, 1.8):
            claimed = norm.cdf(
                residuals.normal_quantile(1, torch.from_numpy(fresh[at]), torch.full((at.sum(),), margin))
            )
            assert claimed.mean() == pytest.approx((truth[at] < margin).mean(), abs=0.04)
    # A metric that was not fitted is unchanged.
    assert torch.allclose(residuals.normal_quantile(0, torch.zeros(1), torch.ones(1)), torch.ones(1), atol=1e-5)


@given(seeds, st.sampled_from([50, 150, 1000]))
def test_a_looser_bound_holds_more_often(seed: int, count: int) -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(seed, count))
    margin = torch.linspace(-8, 8, 200)
    for mean in (-2.0, 0.0, 2.0):
        found = residuals.normal_quantile(0, torch.full((200,), mean), margin)
        assert (found.diff() > 0).all()
        assert found.isfinite().all()


def test_bounds_beyond_everything_are_sure() -> None:
    residuals = Residuals(1)
    residuals.fit(0, *bimodal(0, 1000))
    found = residuals.normal_quantile(0, torch.zeros(2), torch.tensor([math.inf, -math.inf]))
    assert found.tolist() == [math.inf, -math.inf]


def test_equal_errors_are_no_trouble() -> None:
    residuals = Residuals(1)
    residuals.fit(0, np.zeros(500), np.zeros(500))
    found = residuals.normal_quantile(0, torch.zeros(3), torch.tensor([-1.0, 0.0, 1.0]))
    assert found.isfinite().all()
    assert found[0] < -2 < found[1] < 2 < found[2]


def gaussian(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors that are Gaussian, but neither around nothing nor as large as claimed."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=count), rng.normal(size=count) * 0.6 + 0.2


def uneven(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors of high predictions are five times those of low ones."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=count)
    return mean, rng.normal(size=count) * np.where(mean > 0, 1.5, 0.3)


def fitted(mean: np.ndarray, errors: np.ndarray) -> Residuals:
    residuals = Residuals(1)
    residuals.fit(0, mean, errors)
    return residuals


def shares_of(residuals: Residuals, mean: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The probabilities that errors had been smaller."""
    return norm.cdf(residuals.normal_quantile(0, torch.from_numpy(mean), torch.from_numpy(errors)).numpy())


@pytest.mark.parametrize("errors_of", [gaussian, bimodal, uneven])
@pytest.mark.parametrize("count", [1000, 10_000])
def test_probabilities_of_new_errors_are_uniform(errors_of: Any, count: int) -> None:
    residuals = fitted(*errors_of(0, count))
    mean, errors = errors_of(1, 20_000)
    shares = shares_of(residuals, mean, errors)
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95):
        assert (shares < level).mean() == pytest.approx(level, abs=0.03)
        # Not only on average over what is predicted; one bin of few archs may take in both sides of the jump.
        for side in (mean < -0.3, mean > 0.3):
            assert (shares[side] < level).mean() == pytest.approx(level, abs=0.03 if count == 10_000 else 0.08)


def test_bins_differ_where_errors_do() -> None:
    residuals = fitted(*uneven(0, 8000))
    width = residuals.quantiles[0, :, -1] - residuals.quantiles[0, :, 0]
    assert (width[:7] < 2.5).all()
    assert (width[9:] > 6).all()
    alike = fitted(*gaussian(0, 8000))
    width = alike.quantiles[0, :, -1] - alike.quantiles[0, :, 0]
    assert width.max() < 1.5 * width.min()


@pytest.mark.parametrize("errors_of", [gaussian, bimodal, uneven])
def test_nodes_lead_back_to_their_levels(errors_of: Any) -> None:
    residuals = fitted(*errors_of(0, 3000))
    edges = residuals.edges[0]
    middles = torch.cat([edges[:1] - 1, (edges[:-1] + edges[1:]) / 2, edges[-1:] + 1])
    nodes = residuals.quantiles[0]
    back = residuals.normal_quantile(0, middles[:, None].expand_as(nodes), nodes)
    assert torch.allclose(back, torch.linspace(-3, 3, nodes.shape[1]).expand_as(nodes), atol=1e-3)


@given(seeds, st.sampled_from([0, 150, 1000]))
def test_far_away_errors_are_gaussian_again(seed: int, count: int) -> None:
    residuals = fitted(*bimodal(seed, count))
    mean = torch.linspace(-3, 3, 25)
    for side in (-1.0, 1.0):
        far = residuals.normal_quantile(0, mean, torch.full((25,), side * 20))
        farther = residuals.normal_quantile(0, mean, torch.full((25,), side * 23))
        assert torch.allclose(farther - far, torch.full((25,), side * 3), atol=1e-4)
        assert (far * side > 3).all()


@given(seeds)
def test_a_looser_bound_holds_more_often_whatever_is_predicted(seed: int) -> None:
    mean, errors = bimodal(seed, 1500)
    residuals = fitted(mean, errors)
    # Also on the very edges of the bins, and at the errors themselves.
    predicted = torch.cat([residuals.edges[0][residuals.edges[0].isfinite()], torch.linspace(-4, 4, 30)])
    margin = torch.from_numpy(np.sort(np.concatenate([errors[::5], np.linspace(-6, 6, 50)]))).float()
    found = residuals.normal_quantile(0, predicted[:, None].expand(-1, len(margin)), margin.expand(len(predicted), -1))
    assert (found.diff(dim=1)[:, margin.diff() > 1e-5] > 0).all()
    assert (found.diff(dim=1) >= 0).all()


def test_shapes_of_any_number_of_dims() -> None:
    residuals = fitted(*bimodal(0, 2000))
    mean, margin = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    found = residuals.normal_quantile(0, mean, margin)
    assert found.shape == (4, 3, 5)
    assert torch.equal(found, residuals.normal_quantile(0, mean.flatten(), margin.flatten()).view(4, 3, 5))
    # What is not contiguous is read as it looks.
    turned = residuals.normal_quantile(0, mean.transpose(0, 2), margin.transpose(0, 2))
    assert torch.equal(turned, found.transpose(0, 2))
    assert residuals.normal_quantile(0, mean[:0], margin[:0]).shape == (0, 3, 5)
    assert residuals.normal_quantile(0, torch.tensor(0.3), torch.tensor(0.5)).shape == ()


def test_refitting_replaces_the_fit() -> None:
    again = fitted(*uneven(0, 5000))
    again.fit(0, *bimodal(1, 300))
    fresh = fitted(*bimodal(1, 300))
    mean, margin = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.normal_quantile(0, mean, margin), fresh.normal_quantile(0, mean, margin))


METRICS = ("latency_ms@cpu", "latency_ms@phone")
NO_ROWS = torch.empty(0, dtype=torch.long)


def knowing() -> tuple[GNNPredictor, ScoreSource]:
    """A predictor whose errors of the first metric jump, on a scale whose units are 2 * score + 20."""
    torch.manual_seed(0)
    predictor = GNNPredictor(mixed().template, METRICS, width=8, layers=1, members=1).eval()
    predictor.scores.load_state_dict(StubPredictor(METRICS).scores.state_dict())
    predictor.residuals.fit(0, *bimodal(0, 4000))
    groups = {name: (name,) for name in METRICS} | {"latency_ms@all": METRICS}
    return predictor, ScoreSource(predictor, groups)


def closed_form(predictor: GNNPredictor, graph: GraphBatch, bound: float, calibrated: bool) -> Tensor:
    """The normal quantile of the probability that the first metric is below a bound."""
    mean, std = (part[:, 0] for part in predictor.score(graph))
    margin = ((bound - 20) / 2 - mean) / std
    return predictor.residuals.normal_quantile(0, mean, margin) if calibrated else margin


@pytest.mark.parametrize(("relation", "sign"), [("<=", 1.0), (">=", -1.0)])
@pytest.mark.parametrize("bound", [19.5, 20.0, 21.0])
@torch.inference_mode()
def test_only_decided_graphs_use_fitted_residuals(relation: str, sign: float, bound: float) -> None:
    predictor, source = knowing()
    guide = ConstraintGuide(source, Constraint.parse(f"latency_ms@cpu {relation} {bound}"))
    whole = GraphBatch.from_archs(drawn(mixed(), 12), mixed().template)
    where = torch.zeros(12, 5, dtype=torch.bool)
    where[torch.arange(12), torch.arange(12) % 5] = True
    partly = whole.with_mask(where)
    for graph, is_whole in ((whole, True), (partly, False)):
        expected = torch.special.log_ndtr(sign * closed_form(predictor, graph, bound, calibrated=is_whole))
        assert torch.allclose(guide.log_values(graph, NO_ROWS), expected, atol=1e-5)
        other = torch.special.log_ndtr(sign * closed_form(predictor, graph, bound, calibrated=not is_whole))
        assert (expected - other).abs().max() > 0.05
    # The last decision makes graphs whole, and is judged so.
    decisions = where.long().argmax(dim=1, keepdim=True)
    _, then = guide.values(partly, torch.arange(12), decisions)
    mean, std = (part[:, 1:, 0] for part in predictor.score_choices(partly, decisions))
    margin = ((bound - 20) / 2 - mean) / std
    expected = torch.special.log_ndtr(sign * predictor.residuals.normal_quantile(0, mean, margin))
    assert torch.allclose(then[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["latency_ms@cpu", "latency_ms@phone", "latency_ms@all"])
@torch.inference_mode()
def test_a_bound_holds_from_below_or_from_above(name: str) -> None:
    _, source = knowing()
    whole = GraphBatch.from_archs(drawn(mixed(), 12), mixed().template)
    where = torch.rand(12, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    for graph in (whole, whole.with_mask(where), whole.with_mask(torch.ones_like(where))):
        for bound in (18.5, 20.0, 21.0):
            below, above = (
                ConstraintGuide(source, Constraint.parse(f"{name} {relation} {bound}")).log_values(graph, NO_ROWS)
                for relation in ("<=", ">=")
            )
            assert torch.allclose(below.exp() + above.exp(), torch.ones(12), atol=1e-5)


@torch.inference_mode()
def test_an_average_of_several_metrics_is_judged_as_gaussian() -> None:
    _, source = knowing()
    graph = GraphBatch.from_archs(drawn(mixed(), 12), mixed().template)
    mean, std = source.score(graph, "latency_ms@all")
    guide = ConstraintGuide(source, Constraint.parse("latency_ms@all <= 21"))
    assert torch.allclose(guide.log_values(graph, NO_ROWS), torch.special.log_ndtr((0.5 - mean) / std), atol=1e-5)
