"""Predictions of a network, and the three metrics against counts by hand."""

import numpy as np
import pytest

from gennas.metrics import KINDS as REGISTERED
from gennas.metrics import Metric, Objective
from gennas.tasks.targets import CLASSIFICATION
from gennas.training.quality import Predictions, predictions_frame


def said(labels: list[int], predicted: list[int], classes: int = 3) -> Predictions:
    probabilities = np.full((len(labels), classes), 0.1, dtype=np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.8
    return Predictions(np.array(labels), probabilities)


def test_metrics_by_hand() -> None:
    # Recalls 3/4, 1/2 and 0; precisions 3/5, 1/2 and, as nothing was called 2, none.
    found = said([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 0]).metrics()
    assert list(found) == list(CLASSIFICATION.metrics)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_classes_that_no_image_has_do_not_count() -> None:
    found = said([0, 0, 1], [0, 0, 1], classes=10).metrics()
    assert found == {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0}
    found = said([0, 0, 1], [0, 2, 1]).metrics()
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_the_metrics_are_registered() -> None:
    for kind in CLASSIFICATION.metrics:
        registered = REGISTERED.get(kind)
        assert (registered.unit, registered.direction, registered.scope) == ("fraction", "max", "task")
        assert (registered.lower, registered.upper) == (0.0, 1.0)
    assert str(Objective.parse("balanced_accuracy, macro_f1").at("digits", None)) == (
        "balanced_accuracy@digits, macro_f1@digits"
    )
    assert Metric.parse("macro_f1@digits").target == "digits"


def test_a_row_per_image() -> None:
    frame = predictions_frame({"val": said([0, 1], [0, 2]), "test": said([2], [2])})
    assert list(frame.columns) == ["split", "row", "label", "predicted", "confidence", "label_probability"]
    assert frame["split"].tolist() == ["val", "val", "test"]
    assert frame["row"].tolist() == [0, 1, 0]
    assert frame["predicted"].tolist() == [0, 2, 2]
    assert frame["confidence"].tolist() == pytest.approx([0.8, 0.8, 0.8])
    assert frame["label_probability"].tolist() == pytest.approx([0.8, 0.1, 0.8])
