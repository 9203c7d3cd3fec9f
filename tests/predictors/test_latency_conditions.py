"""Latencies for other networks than those they were learnt from: an honest interval, or a refusal with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import StubPredictor, drawn

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.cli.output import cell
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.predicted import PredictedEvaluator
from gennas.generation.pipeline import generate_archs
from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware
from gennas.metrics import Metric
from gennas.predictors.base import Predictor
from gennas.predictors.deployment import deploy
from gennas.predictors.few_shot import informative_archs
from gennas.predictors.latency_conditions import OTHER_MACHINE, SLACK, LatencyConditions, scaled_latency
from gennas.predictors.quality import Z90
from gennas.problem import Problem
from gennas.search.policies.choice import chosen_policy
from gennas.search.prior_mean import Prior
from gennas.spaces import Space, get_space
from gennas.tasks import Task, get_task

GOLDEN = Checkpoint(Path(__file__).parents[1] / "data" / "golden_0_2" / "checkpoint")
CONFIG, METRIC = GOLDEN.config("predictor"), "latency_ms@cpu"
SPACE, CIFAR = get_space("nasbench201"), get_task("cifar10")
LEARNT = LatencyConditions(SPACE.skeleton, (3, 32, 32))
ARCHS = [arch for arch in drawn(SPACE, 60) if not SPACE.is_constant(arch)]
#: Side of the images and skeleton.
DEPLOYMENTS = [
    (16, "channels=16,cells=5"),
    (64, "channels=16,cells=5"),
    (96, "channels=16,cells=2"),
    (224, "channels=16,cells=5"),
    (32, "channels=16,cells=1"),
    (32, "channels=4,cells=2"),
    (32, "channels=32,cells=5"),
    (224, "channels=4,cells=1"),
]


def interval(predictor: Predictor, archs: list[Arch], name: str = METRIC) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 90 % interval of a latency, each ``(N,)``."""
    column = predictor.metrics.index(name)
    with torch.inference_mode():
        mean, std = predictor.score(GraphBatch.from_archs(archs, SPACE.template))
        ends = [predictor.scores.value(mean + sign * Z90 * std)[:, column] for sign in (-1, 1)]
    return ends[0].numpy(), ends[1].numpy()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(("side", "skeleton"), DEPLOYMENTS)
def test_a_device_that_launches_or_computes_lies_within_the_scaled_interval(side: int, skeleton: str) -> None:
    space, task = get_space("nasbench201", skeleton), get_task("digits", image_size=side)
    scaled = scaled_latency(GOLDEN.predictor, space, task, "cpu", LEARNT)
    mean, _ = GOLDEN.predictor.predict(GraphBatch.from_archs(ARCHS, SPACE.template))
    before = mean[:, GOLDEN.predictor.metrics.index(METRIC)].numpy()
    learnt = replace(task, input_shape=(3, 32, 32))
    ratio = np.array([space.costs(arch, task)["macs_m"] / SPACE.costs(arch, learnt)["macs_m"] for arch in ARCHS])
    assert ratio.min() <= 1.05 * scaled.ratio
    assert scaled.ratio <= 1.05 * ratio.max()
    lower, upper = interval(scaled.predictor, ARCHS)
    for share in (0.0, 0.5, 1.0):
        truth = before * ratio**share
        assert ((lower <= truth) & (truth <= upper)).mean() >= 0.9, share
    # Honest, but no wider than what is not known.
    widest = np.quantile(np.maximum(ratio, 1 / ratio), 0.95) ** 0.5 * SLACK * OTHER_MACHINE
    assert scaled.factor < 1.5 * widest
    assert scaled.factor**2 / 1.5 < np.median(upper / lower) < 3 * scaled.factor**2
    # A confident value for other networks was the defect.
    was_lower, was_upper = interval(GOLDEN.predictor, ARCHS)
    truth = before * ratio
    if max(scaled.ratio, 1 / scaled.ratio) > 4:
        assert ((was_lower <= truth) & (truth <= was_upper)).mean() < 0.5


def test_conditions_are_those_of_the_checkpoint_or_of_the_stored_device(home: Path) -> None:
    assert LatencyConditions.of_device("cpu", SPACE, CONFIG) == LEARNT
    assert LEARNT.hold_for(SPACE, CIFAR)
    assert not LEARNT.hold_for(SPACE, get_task("digits", image_size=16))
    assert not LEARNT.hold_for(get_space("nasbench201", "cells=1"), CIFAR)
    assert LatencyConditions(SPACE.skeleton, ()).hold_for(SPACE, get_task("digits", image_size=16))
    rows = tuple(Measurement(arch.key, 1.0 + number) for number, arch in enumerate(ARCHS[:5]))
    store.add(Hardware("big", SPACE.name, rows, {"csv": "big.csv"}, "channels=32,cells=1", (3, 64, 64)))
    store.add(Hardware("old", SPACE.name, rows, {"csv": "old.csv"}))
    big = LatencyConditions.of_device("big", SPACE, CONFIG)
    assert (dict(big.skeleton), big.input_shape) == ({"channels": 32, "cells": 1}, (3, 64, 64))
    assert LatencyConditions.of_device("old", SPACE, CONFIG) == LEARNT
    there = get_space("nasbench201", "channels=32,cells=1"), get_task("digits", image_size=64)
    deployed, _ = deploy(GOLDEN.predictor, CONFIG, *there, "big")
    assert deployed.conditions == {}
    deployed, _ = deploy(GOLDEN.predictor, CONFIG, SPACE, CIFAR, "big")
    assert deployed.conditions["latency_ms@big"].startswith(
        "latency_ms@big was measured on 3x64x64 images, channels=32,cells=1, and is asked for 3x32x32 images"
    )


def test_a_device_elsewhere_is_scaled_with_the_command_that_measures_it() -> None:
    space, task = get_space("nasbench201", "channels=16,cells=1"), get_task("digits", image_size=64)
    deployed, _ = deploy(StubGolden("pixel3"), {**CONFIG, "metrics": ["latency_ms@pixel3"]}, space, task, "pixel3")
    (note,) = deployed.conditions.values()
    assert note in deployed.notes
    assert "(0.9" in note or "times the multiply-adds): it is scaled, and uncertain by a factor of" in note
    command = "gennas hardware add NAME --csv FILE --task digits --image-size 64 --skeleton"
    assert f"{command} channels=16,cells=1" in note


def StubGolden(name: str) -> Predictor:
    """The trained predictor, whose only device has another name."""
    predictor = Checkpoint(GOLDEN.folder).predictor
    predictor.metrics = (*predictor.metrics[:2], f"latency_ms@{name}")
    return predictor


def test_a_predictor_that_cannot_be_scaled_is_refused_with_the_command() -> None:
    stub = StubPredictor(["accuracy@cifar10", "latency_ms@pixel3"])
    config = {"skeleton": SPACE.skeleton, "latency_input_shape": [3, 32, 32], "metrics": list(stub.metrics)}
    assert deploy(stub, config, SPACE, CIFAR, "pixel3")[0].conditions == {}
    with pytest.raises(InvalidInputError, match=r"asked for 3x16x16 images.*few-shot.*gennas hardware add NAME --csv"):
        deploy(stub, config, SPACE, get_task("digits", image_size=16), "pixel3")


def test_a_search_says_how_uncertain_a_scaled_latency_is() -> None:
    task = get_task("digits", image_size=64)
    wanted = [Metric.parse("latency_ms@raspi4")]

    def made(space: Space, the_task: Task) -> PredictedEvaluator | None:
        problem = Problem(space, the_task, "accuracy, -latency_ms@raspi4", ["latency_ms@raspi4 <= 20"])
        return PredictedEvaluator.make(EvaluatorContext(problem, checkpoint=Checkpoint("nasbench201")), wanted)

    plain = made(SPACE, get_task("digits"))
    assert plain is not None
    assert "scaled" not in plain.basis
    scaled = made(SPACE, task)
    assert scaled is not None
    assert any("it is scaled, and uncertain by a factor of" in note for note in scaled.notes)
    assert scaled.conditions(0, None) != plain.conditions(0, None)
    # A bound is kept or broken by the middle of the range: the mean of so wide a distribution is several times that.
    cells = [arch for arch in ARCHS if not SPACE.is_constant(arch)]
    was, now = (
        np.array([one.evaluate(arch, task=task)["latency_ms@raspi4"] for arch in cells]) for one in (plain, scaled)
    )
    macs = [SPACE.costs(arch, task)["macs_m"] / SPACE.costs(arch, get_task("digits"))["macs_m"] for arch in cells]
    assert np.median(now / was / np.sqrt(macs)) == pytest.approx(1, rel=0.2)


def test_generation_and_search_show_the_same_middle_of_a_scaled_latency() -> None:
    task = get_task("digits", image_size=64)
    problem = Problem(SPACE, task, "accuracy", ["latency_ms@raspi4 <= 100"], "raspi4")
    shipped = Checkpoint("nasbench201")
    generated = generate_archs(problem, 2, checkpoint=shipped)
    evaluator = PredictedEvaluator.make(EvaluatorContext(problem, checkpoint=shipped), [problem.metrics[1]])
    assert evaluator is not None
    for arch, predicted, row in zip(
        generated.archs, generated.predicted, generated.frame().to_dict("records"), strict=True
    ):
        latency = predicted["latency_ms@raspi4"]
        assert isinstance(latency, dict)
        assert latency["median"] == pytest.approx(evaluator.evaluate(arch, task=task)["latency_ms@raspi4"])
        assert latency["low"] < latency["median"] < latency["mean"] < latency["high"]
        assert row["latency_ms@raspi4"] == latency["median"]
        assert cell(latency).startswith(f"{latency['median']:.3g} (")
    lower, upper = interval(evaluator._deployment.predictor, list(generated.archs), "latency_ms@raspi4")
    assert [one["latency_ms@raspi4"]["low"] for one in generated.predicted] == pytest.approx(lower)  # type: ignore[index]
    assert [one["latency_ms@raspi4"]["high"] for one in generated.predicted] == pytest.approx(upper)  # type: ignore[index]


def test_a_prior_of_other_networks_ranks_but_has_no_units() -> None:
    metric = Metric.parse("latency_ms@raspi4")

    def prior_of(image_size: int) -> Prior | None:
        problem = Problem(SPACE, get_task("digits", image_size=image_size), "accuracy", ["latency_ms@raspi4 <= 20"])
        return getattr(chosen_policy("gennas", problem, None).policy, "prior", None)

    here, elsewhere = prior_of(32), prior_of(64)
    assert here is not None
    assert elsewhere is not None
    assert here.score_of(metric, 20.0) is not None
    assert elsewhere.score_of(metric, 20.0) is None
    assert np.array_equal(elsewhere.of(ARCHS, metric), here.of(ARCHS, metric))


def test_a_bound_that_nothing_keeps_says_that_its_metric_was_scaled(home: Path) -> None:
    problem = Problem(SPACE, get_task("digits", image_size=224), "accuracy", ["latency_ms <= 0.1"], "cpu")
    with pytest.raises(InfeasibleError, match=r"asked for 3x224x224 images.*Measure ten of them on this machine, once"):
        generate_archs(problem, 2, checkpoint=GOLDEN)


def test_networks_measured_here_replace_what_was_learnt_elsewhere() -> None:
    shipped, task = Checkpoint("nasbench201"), get_task("digits", image_size=224)
    space, config = get_space("nasbench201"), shipped.config("predictor")
    measured = informative_archs(shipped.predictor, space, 10, seed=0)

    def truth(arch: Arch) -> float:
        return 0.5 + space.costs(arch, task)["macs_m"] / 18

    rows = tuple(Measurement(arch.key, truth(arch)) for arch in measured)
    here = Hardware("cpu", SPACE.name, rows, {"machine": "this one"}, "channels=16,cells=5", task.input_shape)
    deployed, notes = deploy(shipped.predictor, config, space, task, "cpu", here=[here])
    assert deployed.conditions == {}
    assert notes[0].startswith(
        "latency_ms@cpu is predicted from 10 networks of this task and skeleton, measured on this"
    )
    lower, upper = interval(deployed.predictor, ARCHS)
    true = np.array([truth(arch) for arch in ARCHS])
    assert ((lower <= true) & (true <= upper)).mean() >= 0.9
    assert np.median(upper / lower) < 3
    assert true.min() > 20
