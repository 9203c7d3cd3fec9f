"""The Weisfeiler-Lehman kernel: equal for equal graphs, and good enough to rank by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from surrogate_toys import ACCURACY, ARCHS, SPACE

from gennas.benchmarks.weisfeiler_lehman import LEVELS, WeisfeilerLehmanView
from gennas.metrics import Metric
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import fit_process
from gennas.search.mutation import random_archs
from gennas.search.scale import Scale
from gennas.spaces import get_space
from gennas.tasks import get_task


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201", "nasbench_graph"])
def test_equal_graphs_have_equal_features(space: str) -> None:
    view = WeisfeilerLehmanView(get_space(space))
    archs = random_archs(view.space, 60, np.random.default_rng(0))
    features = view.of(archs)
    similarity = features @ features.T
    np.testing.assert_allclose(similarity.diagonal(), LEVELS)
    # Operations that are the same count, whatever surrounds them.
    assert (similarity > 0).all()
    np.testing.assert_allclose(view.of(view.space.canonicalised(archs)), features)


def test_predecessors_and_successors_are_distinguished() -> None:
    view = WeisfeilerLehmanView(SPACE)
    one = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    other = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
    first, second = view.of([SPACE.parse(one), SPACE.parse(other)]).reshape(2, LEVELS, -1)
    np.testing.assert_allclose(first[0], second[0])
    assert not np.allclose(first[1], second[1])


def test_a_process_with_this_kernel_ranks_archs() -> None:
    metric = Metric.parse("accuracy@cifar10")
    inputs = Inputs(SPACE, get_task("cifar10"), [metric], view=WeisfeilerLehmanView(SPACE))
    points = inputs.of(ARCHS)
    scores = torch.from_numpy(Scale.by_rank(metric, ACCURACY[:80])(ACCURACY[:80]))
    mean, _ = fit_process(points[:80], scores, inputs.view, (), metric.kind).moments(points[80:])
    assert kendalltau(mean.numpy(), ACCURACY[80:]).statistic > 0.4
