"""Views: what a search sees of archs, and how it compares them."""

from __future__ import annotations

import numpy as np
import torch
from gpytorch.kernels import AdditiveKernel, ScaleKernel
from gpytorch.priors import LogNormalPrior
from toys import Toy, drawn, toy

from gennas.predictors.gaussian_process import SlotKernel, log_normal
from gennas.predictors.slot_features import SlotFeatures
from gennas.search.kernels import FeatureView
from gennas.spaces import Template, get_space
from gennas.spaces.template import FIXED
from gennas.tasks import get_task

TASK, AMPLITUDE = get_task("cifar10"), log_normal(0.6, 1.0)


def chain() -> Toy:
    """Four layers of two choices; the third one's are numbers."""
    allowed, values = np.ones((4, 2), bool), np.full((4, 2), np.nan)
    values[2] = 8, 16
    template = Template(tuple("abcd"), ("p", "q"), allowed, FIXED * np.eye(4, k=1, dtype=np.int8), values)
    return toy(template)


def test_a_view_of_a_chain_ends_with_what_varies_of_its_slots() -> None:
    space = chain()
    archs = list(space.enumerate())
    view = FeatureView(space, TASK, archs)
    found = view.of(archs)
    assert found.shape == (16, view.width)
    slots = SlotFeatures(space).of(archs).values
    expected = (slots - slots.mean(0))[:, np.ptp(slots, axis=0) > 0]
    assert expected.shape[1] == 2 + 2 + 1 + 2
    assert np.allclose(found[:, -7:], expected)
    assert np.allclose(found.mean(0), 0)
    assert np.allclose(found[:, :-7].std(0), 1)


def test_a_chain_is_compared_as_a_graph_and_slot_by_slot() -> None:
    space = chain()
    archs = list(space.enumerate())
    view = FeatureView(space, TASK, archs)
    kernel = view.kernel(AMPLITUDE)
    points = torch.from_numpy(view.of(archs))
    assert isinstance(kernel, AdditiveKernel)
    (slots,) = (module for module in kernel.modules() if isinstance(module, SlotKernel))
    assert slots.lengthscale.numel() == 4
    gram = kernel(points).to_dense().detach()
    assert gram.diagonal().min() > 0.6
    assert torch.linalg.eigvalsh(gram).min() > -1e-9
    # What is given of the amplitude holds for the sum of both parts.
    amplitudes = [float(part.outputscale_prior.mode) for part in kernel.modules() if isinstance(part, ScaleKernel)]
    assert np.allclose(amplitudes, 0.3)


def test_cells_are_compared_as_graphs_alone() -> None:
    space = get_space("nasbench201")
    archs = drawn(space, 40)
    view = FeatureView(space, TASK, archs)
    kernel = view.kernel(AMPLITUDE)
    assert isinstance(kernel, ScaleKernel)
    assert isinstance(kernel.outputscale_prior, LogNormalPrior)
    assert kernel.base_kernel.lengthscale.numel() == view.width
