"""Guided generation from a tiny checkpoint: objectives pull, bounds hold, and what is impossible is explained."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from gennas.arch import Arch
from gennas.errors import InfeasibleError, InvalidInputError, UnknownNameError
from gennas.generate import Generated, Request, generate, pareto_order
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Objective, parse_constraints
from gennas.predictors.gnn import GNNPredictor, load_predictor
from gennas.spaces import get_space
from gennas.tasks import get_task

NB201 = get_space("nasbench201")


def request(
    task: str = "cifar10", objective: str = "accuracy", where: tuple[str, ...] = (), **options: object
) -> Request:
    the_task, hardware = get_task(task), options.pop("hardware", "cpu")
    assert hardware is None or isinstance(hardware, str)
    return Request(
        task=the_task,
        hardware=hardware,
        objective=Objective.parse(objective).at(the_task.name, hardware),
        where=parse_constraints(where, the_task.name, hardware),
        **options,  # type: ignore[arg-type]
    )


def run(checkpoint: Path, *args: object, seed: int = 0, **options: object) -> Generated:
    return generate(checkpoint, request(*args, **options), seed=seed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint: Path) -> GNNPredictor:
    return load_predictor(tiny_checkpoint)[0]


def means(result: Generated, name: str) -> list[float]:
    return [entry[name]["mean"] for entry in result.predicted]  # type: ignore[index]


def confidence_of(predictor: GNNPredictor, archs: tuple[Arch, ...], constraint: Constraint) -> np.ndarray:
    """The probability that a bound holds, without any of the code that guides."""
    column = predictor.metrics.index(constraint.metric.name)
    with torch.inference_mode():
        mean, std = predictor.score(GraphBatch.from_archs(archs, NB201.template))
    z = (predictor.scores.score_of(column, constraint.bound) - mean[:, column].numpy()) / std[:, column].numpy()
    return norm.cdf(z) if constraint.relation == "<=" else norm.sf(z)


def test_an_objective_raises_what_it_names(tiny_checkpoint: Path, predictor: GNNPredictor) -> None:
    free = run(tiny_checkpoint, strength=0.0, n=100)
    pulled = run(tiny_checkpoint, n=20)
    name = "accuracy@cifar10"
    assert np.mean(means(pulled, name)) > np.quantile(means(free, name), 0.9)
    with torch.inference_mode():
        scores = predictor.score(GraphBatch.from_archs(pulled.archs, NB201.template))[0]
    assert (scores[:, predictor.metrics.index(name)].diff() <= 1e-5).all(), "best first"
    fast = run(tiny_checkpoint, "cifar10", "-latency_ms", n=20)
    assert np.mean(means(fast, "latency_ms@cpu")) < np.quantile(means(free, "latency_ms@cpu"), 0.1)
    small = run(tiny_checkpoint, "cifar10", "-params_m", n=20)
    assert max(entry["params_m"] for entry in small.predicted) < 0.2  # type: ignore[type-var,operator]


def test_several_objectives_spread_along_their_front(tiny_checkpoint: Path) -> None:
    both = run(tiny_checkpoint, "cifar10", "accuracy, -latency_ms, -params_m", n=30)
    accuracy, latency = means(both, "accuracy@cifar10"), means(both, "latency_ms@cpu")
    assert np.corrcoef(accuracy, latency)[0, 1] > 0.3, "what is better is slower along a front"
    assert len(both.archs) == 30


def test_what_comes_back_is_counted_and_distinct(tiny_checkpoint: Path) -> None:
    result = run(tiny_checkpoint, n=25, distinct="functions")
    assert result.requested == len(result.archs) == len({arch.key for arch in result.archs}) == 25
    assert len({NB201.canonical(arch).key for arch in result.archs}) == 25
    assert result.sampled >= 25
    assert result.valid_rate == 1.0
    assert 0 < result.unique_rate <= 1
    assert result.seconds > 0
    assert not any(NB201.problems(arch) or NB201.is_constant(arch) for arch in result.archs)
    assert set(result.predicted[0]) == {"accuracy@cifar10", "latency_ms@cpu", "params_m", "macs_m"}


def test_the_seed_decides(tiny_checkpoint: Path) -> None:
    first, again, other = (run(tiny_checkpoint, n=10, strength=0.0, seed=seed) for seed in (0, 0, 1))
    assert first.archs == again.archs
    assert first.predicted == again.predicted
    assert first.archs != other.archs


def test_cost_bounds_hold_on_everything(tiny_checkpoint: Path) -> None:
    bounds = ("params_m <= 0.3", "macs_m >= 20", "params_m >= 0.1")
    result = run(tiny_checkpoint, where=bounds, n=30)
    assert len(result.archs) == 30
    for arch, told in zip(result.archs, result.predicted, strict=True):
        costs = NB201.costs(arch, get_task("cifar10"))
        assert 0.1 <= costs["params_m"] <= 0.3
        assert costs["macs_m"] >= 20
        assert told["params_m"] == costs["params_m"]


def test_predicted_bounds_hold_with_the_asked_confidence(tiny_checkpoint: Path, predictor: GNNPredictor) -> None:
    free = run(tiny_checkpoint, n=100, strength=0.0)
    bound = float(np.quantile(means(free, "latency_ms@cpu"), 0.3))
    where = (f"latency_ms <= {bound:.4f}", "accuracy@cifar100 >= 0.4")
    for confidence in (0.6, 0.95):
        result = run(tiny_checkpoint, where=where, n=20, confidence=confidence)
        assert len(result.archs) == 20
        for constraint in request(where=where).where:
            assert (confidence_of(predictor, result.archs, constraint) >= confidence - 1e-6).all()
        assert "accuracy@cifar100" in result.predicted[0], "what is bounded is told"


def test_an_impossible_cost_bound_names_the_reachable_value(tiny_checkpoint: Path) -> None:
    costs = [NB201.costs(arch, get_task("cifar10")) for arch in NB201.enumerate()]
    least, greatest = min(c["params_m"] for c in costs), max(c["macs_m"] for c in costs)
    with pytest.raises(
        InfeasibleError, match=r"keeps 'params_m <= 0\.01': the smallest params_m .*'cifar10'"
    ) as caught:
        run(tiny_checkpoint, where=("params_m <= 0.01", "macs_m <= 100"))
    assert f" is {least:.6g}. Loosen this bound" in str(caught.value)
    with pytest.raises(InfeasibleError, match=r"keeps 'macs_m >= 5000': the largest macs_m") as caught:
        run(tiny_checkpoint, where=("macs_m >= 5000",))
    assert f" is {greatest:.6g}. Loosen this bound" in str(caught.value)


def test_an_impossible_predicted_bound_names_what_can_be_had(tiny_checkpoint: Path, predictor: GNNPredictor) -> None:
    with pytest.raises(InfeasibleError, match=r"'latency_ms@cpu <= 0\.001' binds") as caught:
        run(tiny_checkpoint, where=("latency_ms <= 0.001", "params_m <= 1"))
    message = str(caught.value)
    assert "keeps all bounds" in message
    assert "lower --confidence" in message
    assert "'params_m <= 1' binds" not in message
    (reached,) = re.findall(r"best reachable latency_ms@cpu is ([\d.e-]+) with confidence 0.9", message)
    # Brute force: the least latency of which 90 % are sure, over all cells that keep the other bound.
    archs = [arch for arch in NB201.enumerate() if NB201.costs(arch, get_task("cifar10"))["params_m"] <= 1]
    column = predictor.metrics.index("latency_ms@cpu")
    with torch.inference_mode():
        mean, std = predictor.score(GraphBatch.from_archs(archs, NB201.template))
    sure = predictor.scores.value(mean + float(norm.ppf(0.9)) * std)[:, column]
    assert float(sure.min()) * 0.999 <= float(reached) <= float(sure.quantile(0.01))


def test_bounds_that_contradict_each_other(tiny_checkpoint: Path) -> None:
    with pytest.raises(InfeasibleError) as caught:
        run(tiny_checkpoint, where=("params_m <= 0.08", "macs_m >= 150"))
    message = str(caught.value)
    assert "'params_m <= 0.08'" in message
    assert "'macs_m >= 150'" in message
    assert "confidence" not in message


def test_fewer_than_asked_is_said(tiny_checkpoint: Path) -> None:
    result = run(tiny_checkpoint, where=("params_m <= 0.0734",), n=200, strength=0.0)
    whole = [arch for arch in NB201.enumerate() if NB201.costs(arch, get_task("cifar10"))["params_m"] <= 0.0734]
    possible = {arch.key for arch in whole if not NB201.is_constant(arch)}
    assert {arch.key for arch in result.archs} <= possible
    if len(result.archs) < 200:
        assert any(f"only {len(result.archs)} of 200 asked" in note for note in result.notes)


def test_an_unknown_task_is_told_to_be_a_prior(tiny_checkpoint: Path) -> None:
    result = run(tiny_checkpoint, "digits", n=5)
    assert any("no predictor knows task 'digits'" in note for note in result.notes)
    assert "accuracy@digits" in result.predicted[0]
    with pytest.raises(InvalidInputError, match="has no predictor"):
        run(tiny_checkpoint, "digits", where=("accuracy >= 0.9",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hardware": "cpuu"}, r"unknown hardware 'cpuu'\. Did you mean 'cpu'"),
        ({"objective": "accuracy@cifar1000"}, r"unknown task 'cifar1000'\. Did you mean 'cifar100'"),
        ({"where": ("latency_ms@cpi <= 1",)}, r"unknown hardware 'cpi'\. Did you mean 'cpu'"),
        ({"objective": "-energy_mj"}, r"unknown predicted metric 'energy_mj@cpu'"),
    ],
)
def test_unknown_names_suggest_the_nearest(tiny_checkpoint: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        run(tiny_checkpoint, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "-n is 0; expected at least 1"),
        ({"n": -3}, "-n is -3"),
        ({"strength": -1.0}, "--strength is -1"),
        ({"strength": float("nan")}, "--strength is nan"),
        ({"confidence": 1.0}, "--confidence is 1; expected 0.5"),
        ({"confidence": 0.4}, "--confidence is 0.4"),
    ],
)
def test_settings_out_of_range(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        request(**options)  # type: ignore[arg-type]


points = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=12)
)


@given(points)
def test_pareto_order_against_brute_force(rows: list[list[int]]) -> None:
    def dominates(a: int, b: int) -> bool:
        return all(x >= y for x, y in zip(rows[a], rows[b], strict=True)) and rows[a] != rows[b]

    left, expected = list(range(len(rows))), []
    while left:
        front = [i for i in left if not any(dominates(j, i) for j in left)]
        expected += front
        left = [i for i in left if i not in front]
    assert pareto_order(torch.tensor(rows, dtype=torch.double)) == expected
