"""Models of latency and accuracy."""

import numpy as np
import pytest

from gennas.design.blocks import Blocks
from gennas.design.models import UNSURE, AccuracyModel, LatencyModel
from tests.design_toys import some
from tests.elastic_spaces import TinyLite


def test_latencies_that_are_sums_of_work_are_found() -> None:
    space = TinyLite()
    blocks, archs = Blocks(space), some(space, 40)
    work = blocks.work(space.arrays(archs)[0])
    latencies = work @ np.array([0.01, 0.2, 0.5, 0.8, 1.0, 0.3, 0.002])
    model = LatencyModel(blocks, archs[:25], latencies[:25])
    predicted = model(space.arrays(archs[25:])[0])
    assert predicted == pytest.approx(latencies[25:], rel=0.02)
    assert model.error < 0.03


def test_few_latencies_make_no_sure_model() -> None:
    space = TinyLite()
    archs = some(space, 3)
    model = LatencyModel(Blocks(space), archs, [1.0, 1.1, 0.9])
    assert model.error == UNSURE
    assert (model(space.arrays(archs)[0]) > 0).all()


def test_accuracy_is_learnt_from_choices() -> None:
    space = TinyLite()
    blocks, archs = Blocks(space), some(space, 60)
    shares = blocks.shares(space.arrays(archs)[0])
    logits = shares[:, 0] + shares[:, 1:].mean(1)
    accuracies = 1 / (1 + np.exp(-logits))
    model = AccuracyModel(blocks, archs[:40], accuracies[:40].tolist())
    mean, std = model(space.arrays(archs[40:])[0])
    assert np.corrcoef(mean, logits[40:])[0, 1] > 0.95
    assert (std > 0).all()
