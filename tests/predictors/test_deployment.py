"""A deployed predictor: available metrics, notes, and values of archs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from toys import StubPredictor, drawn

from gennas.diffusion.guides.predicted import ScoreSource
from gennas.errors import InvalidInputError, UnknownNameError
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.predictors.deployment import DeploymentPredictor, undeployed
from gennas.spaces import Space, get_space
from gennas.tasks import TARGET_KINDS, Task, get_task
from gennas.tasks.targets.regression import Regression

METRICS = ("accuracy@cifar10", "accuracy@cifar100", "latency_ms@cpu", "latency_ms@pixel3")
NB201 = get_space("nasbench201")


def deployed(
    task: str | Task = "cifar10", hardware: str | None = "cpu", space: Space = NB201, metrics: tuple[str, ...] = METRICS
) -> DeploymentPredictor:
    the_task = get_task(task) if isinstance(task, str) else task
    return DeploymentPredictor(StubPredictor(metrics), space, the_task, hardware)


def test_a_known_task_has_no_notes() -> None:
    here = deployed()
    assert here.notes == []
    assert not here.has_prior_only
    here.check(Metric.parse("accuracy@cifar10"))
    here.check(Metric.parse("params_m"))
    here.check_constraint(Constraint.parse("accuracy@cifar10 >= 0.9"))
    assert here.reported() == ["accuracy@cifar10", "latency_ms@cpu"]
    more = [Metric.parse("latency_ms@pixel3"), Metric.parse("macs_m"), Metric.parse("latency_ms@cpu")]
    assert here.reported(more) == ["accuracy@cifar10", "latency_ms@cpu", "latency_ms@pixel3"]
    assert deployed(hardware=None).reported() == ["accuracy@cifar10"]


def test_an_unknown_task_is_the_mean_of_the_known_ones() -> None:
    here = deployed("digits")
    assert here.has_prior_only
    (note,) = here.notes
    assert (
        "the predictor was not trained on task 'digits': accuracy@digits is the mean over cifar10, cifar100; use it"
        in note
    )
    archs = drawn(NB201, 5)
    values = here.values(archs, here.reported())
    mean, std = here.predictor.predict(GraphBatch.from_archs(archs, NB201.template))
    for row, entry in enumerate(values):
        predicted = entry["accuracy@digits"]
        assert isinstance(predicted, dict)
        assert predicted["mean"] == pytest.approx(float(mean[row, :2].mean()), rel=1e-6)
        between = float(mean[row, :2].var(correction=0))
        assert predicted["std"] == pytest.approx((float(std[row, :2].square().mean()) + between) ** 0.5, rel=1e-5)
        assert entry["params_m"] == NB201.costs(archs[row], get_task("digits"))["params_m"]
    here.check(Metric.parse("accuracy@digits"))
    with pytest.raises(InvalidInputError, match="cannot be predicted: the predictor was not trained on task 'digits'"):
        here.check_constraint(Constraint.parse("accuracy@digits >= 0.9"))
    # What is known of another task can still be bounded.
    here.check_constraint(Constraint.parse("accuracy@cifar10 >= 0.9"))


def test_one_known_task_is_a_prior_too() -> None:
    here = deployed("digits", metrics=("accuracy@cifar10", "latency_ms@cpu"))
    assert here.has_prior_only
    assert len(here.notes) == 1
    with pytest.raises(InvalidInputError, match="ranks archs but does not estimate"):
        here.check_constraint(Constraint.parse("accuracy@digits >= 0.9"))


def test_metrics_that_are_not_predicted() -> None:
    with pytest.raises(UnknownNameError, match=r"'pixel'\. Did you mean 'pixel3'\? Known: cpu, pixel3"):
        deployed(hardware="pixel")
    here = deployed()
    with pytest.raises(UnknownNameError, match=r"unknown task 'cifar1'\. .*'accuracy@cifar1' is not predicted"):
        here.check(Metric.parse("accuracy@cifar1"))
    with pytest.raises(UnknownNameError, match=r"unknown hardware 'pixel4'\. Did you mean 'pixel3'"):
        here.check_constraint(Constraint.parse("latency_ms@pixel4 <= 3"))
    with pytest.raises(UnknownNameError, match=r"unknown predicted metric 'energy_mj@cpu'\. .*params_m"):
        here.check(Metric.parse("energy_mj@cpu"))


def of_targets(targets: str) -> Task:
    return replace(get_task("digits"), name="mine", source=Asking(targets))  # type: ignore[arg-type]


class Asking:
    """Images of which other things than classes are asked; nothing reads them here."""

    def __init__(self, targets: str) -> None:
        self.targets = TARGET_KINDS.get(targets)()


@pytest.mark.parametrize("metrics", [METRICS, ("latency_ms@cpu",)])
@pytest.mark.parametrize(
    ("targets", "name", "message"),
    [
        ("regression", "accuracy", "accuracy is for classes; task 'mine' has values, which are judged by r2, mae, "),
        ("multilabel", "accuracy", "labels, which are judged by mean_average_precision, macro_f1, micro_f1. No"),
        ("multilabel", "mae", "mae is for values; task 'mine' has labels"),
        ("regression", "macro_f1", "macro_f1 is for classes or labels; task 'mine' has values"),
        ("regression", "rmse", "no values of rmse@mine are known; search for it (gennas search), or prefer small"),
        ("classification", "macro_f1", "no values of macro_f1@mine are known; search for it (gennas search)"),
        ("classification", "r2", "r2 is for values; task 'mine' has classes, which are judged by accuracy, "),
    ],
)
def test_a_metric_of_the_task_that_is_not_predicted(
    targets: str, name: str, message: str, metrics: tuple[str, ...]
) -> None:
    """It is told from a task that nobody knows: here the task is known, and what is asked of it does not suit."""
    here = deployed(of_targets(targets), metrics=metrics)
    with pytest.raises(InvalidInputError, match=re.escape(message)) as refused:
        here.check(Metric.parse(f"{name}@mine"))
    assert type(refused.value) is InvalidInputError
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        here.check_constraint(Constraint.parse(f"{name}@mine <= 0.5"))


def test_what_does_not_suit_the_task_needs_no_predictor_first() -> None:
    with pytest.raises(InvalidInputError, match="accuracy is for classes; task 'mine' has values"):
        undeployed(NB201, of_targets("regression"), None).check(Metric.parse("accuracy@mine"))
    with pytest.raises(InvalidInputError, match=r"judged by accuracy, .*\. accuracy@mine is predicted\."):
        deployed(of_targets("classification")).check(Metric.parse("r2@mine"))


def test_a_variant_of_a_kind_of_targets_is_not_named_twice() -> None:
    class Doses(Regression):
        name = "doses"

    TARGET_KINDS.register("doses", Doses)
    with pytest.raises(InvalidInputError, match=r"^r2 is for values; task 'mine' has classes"):
        deployed(of_targets("classification")).check(Metric.parse("r2@mine"))


def test_values_hold_mean_std_and_exact_costs() -> None:
    here, archs = deployed(), drawn(NB201, 4)
    values = here.values(archs, here.reported())
    mean, std = here.predictor.predict(GraphBatch.from_archs(archs, NB201.template))
    for row, entry in enumerate(values):
        assert list(entry) == ["accuracy@cifar10", "latency_ms@cpu", "params_m", "macs_m"]
        assert entry["latency_ms@cpu"] == {
            "mean": pytest.approx(float(mean[row, 2])),
            "std": pytest.approx(float(std[row, 2])),
        }
    assert here.values([], here.reported()) == []


def test_guides_read_the_same_scores() -> None:
    here = deployed("digits")
    graph = GraphBatch.from_archs(drawn(NB201, 4), NB201.template)
    mean, _ = here.predictor.score(graph)
    metrics = [Metric.parse(name) for name in ("accuracy@digits", "params_m", "latency_ms@cpu")]
    source = ScoreSource(here.predictor, here.parts(metrics))
    assert torch.allclose(source.score(graph, "accuracy@digits")[0], mean[:, :2].mean(1))
    assert torch.equal(source.score(graph, "latency_ms@cpu")[0], mean[:, 2])
    assert source.scored == 4
    with pytest.raises(KeyError):
        source.score(graph, "latency_ms@pixel3")


def test_costs_alone_need_no_predicted_metric() -> None:
    here = deployed()
    source = ScoreSource(here.predictor, here.parts([Metric.parse("params_m"), Metric.parse("macs_m")]))
    assert source.parts == {}
    assert source.scored == 0


def test_tasks_are_identified_by_name() -> None:
    assert not deployed(replace(get_task("cifar10"), num_classes=7)).has_prior_only
