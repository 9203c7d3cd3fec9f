"""What a predictor says stands in for what cannot be measured, in its own words, and only where it may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toys import drawn

from gennas.checkpoint import Checkpoint
from gennas.cli.options import ArchOptions, NetworkOptions
from gennas.cli.predict import predict
from gennas.errors import UnknownNameError
from gennas.evaluators.predicted import PredictedEvaluator, predictable
from gennas.hardware import store
from gennas.metrics import Metric
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.testing import check_evaluator

SPACE, CIFAR, DIGITS = get_space("nasbench201"), get_task("cifar10"), get_task("digits")
ON_PHONE = Metric.parse("latency_ms@phone")


@pytest.fixture
def on_phone(tiny_checkpoint: Path, phone: str) -> PredictedEvaluator:
    return PredictedEvaluator(Checkpoint(tiny_checkpoint), SPACE, CIFAR, [ON_PHONE])


def test_values_are_those_of_gennas_predict(on_phone: PredictedEvaluator, tiny_checkpoint: Path) -> None:
    check_evaluator(on_phone, SPACE, CIFAR)
    for arch in drawn(SPACE, 3):
        outcome = predict(
            ArchOptions([arch.key]),
            NetworkOptions(),
            task="cifar10",
            hardware="phone",
            checkpoint=str(tiny_checkpoint),
        )
        (entry,) = outcome.document["archs"]
        value = on_phone.evaluate(arch, task=CIFAR)
        assert value == {"latency_ms@phone": entry["predicted"]["latency_ms@phone"]["mean"]}
    assert outcome.notes[-1] in on_phone.notes


def test_known_and_own_devices_together_with_what_to_know_of_them(phone: str) -> None:
    shipped, metrics = Checkpoint("nasbench201"), [Metric.parse("latency_ms@raspi4"), ON_PHONE]
    small = get_space("nasbench201", "channels=4,cells=1")
    both = PredictedEvaluator(shipped, small, DIGITS, metrics)
    (arch,) = drawn(SPACE, 1)
    values = both.evaluate(arch, task=DIGITS)
    for name, value in values.items():
        alone = PredictedEvaluator(shipped, small, DIGITS, [Metric.parse(name)])
        assert alone.evaluate(arch, task=DIGITS) == {name: pytest.approx(value, rel=1e-5)}
    assert tuple(values) == both.metrics(DIGITS) == ("latency_ms@raspi4", "latency_ms@phone")
    first, adaptation, raspi, own = both.notes
    assert first.startswith("latency_ms@raspi4, latency_ms@phone: predicted, not measured")
    assert adaptation.startswith("latency_ms@phone is predicted from 10 measurements and ")
    for name, conditions in (("raspi4", raspi), ("phone", own)):
        assert conditions.startswith(
            f"latency_ms@{name} was measured on 3x32x32 images, channels=16,cells=5, and is asked for 3x32x32 images, "
            "channels=4,cells=1 (0.0"
        )


def test_which_metrics_are_predictable(tiny_checkpoint: Path, phone: str) -> None:
    assert predictable(Checkpoint(tiny_checkpoint), SPACE) == ("latency_ms@cpu", "latency_ms@phone")
    assert predictable(Checkpoint(tiny_checkpoint), get_space("nasbench101")) == ()
    for name in ("latency_ms@watch", "energy_mj@phone"):
        with pytest.raises(UnknownNameError):
            PredictedEvaluator(Checkpoint(tiny_checkpoint), SPACE, CIFAR, [Metric.parse(name)])


def test_other_measurements_are_other_conditions(on_phone: PredictedEvaluator, tiny_checkpoint: Path) -> None:
    again = PredictedEvaluator(Checkpoint(tiny_checkpoint), SPACE, CIFAR, [ON_PHONE])
    assert (again.basis, again.conditions(0, 1)) == (on_phone.basis, on_phone.conditions(3, None))
    device = store.load("nasbench201", "phone")
    first = replace(device.measurements[0], latency_ms=device.measurements[0].latency_ms + 1)
    store.add(replace(device, measurements=(first, *device.measurements[1:])))
    other = PredictedEvaluator(Checkpoint(tiny_checkpoint), SPACE, CIFAR, [ON_PHONE])
    assert other.basis["predictor"] == on_phone.basis["predictor"]
    assert other.basis["measurements"] != on_phone.basis["measurements"]
    assert other.conditions(0, 1) != on_phone.conditions(0, 1)
