"""Refills follow the exact tilt of a sum where choices are free, and keep to fitted bounds."""

from __future__ import annotations

import torch
from parts_spaces import Ops

from gennas.diffusion.additive import AdditiveFit, frequencies
from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.additive import AdditiveGuide
from gennas.graph import GraphBatch, decisions_of

SPACE = Ops()
COUNT = 20_000


def fit_of(seed: int) -> AdditiveFit:
    allowed = decisions_of(SPACE.template).allowed
    table = torch.randn(1, *allowed.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return AdditiveFit(torch.zeros(1, dtype=torch.double), table * allowed, torch.full((1,), 0.01, dtype=torch.double))


def drawn(guide: AdditiveGuide) -> torch.Tensor:
    generator = Generator(SPACE, ExactDenoiser(SPACE))
    blank = GraphBatch.undecided_batch(SPACE.template, COUNT)
    return generator.filled(blank, [guide], torch.Generator().manual_seed(0)).choices()


def test_decisions_are_drawn_from_the_exact_tilt_each_graph_with_its_own_strength() -> None:
    fit, allowed = fit_of(0), decisions_of(SPACE.template).allowed
    tilt = torch.where(torch.arange(COUNT) % 2 == 0, 1.5, 0.0)[:, None]
    choices = drawn(AdditiveGuide(fit, tilt, None, frequencies(SPACE)))
    for row, strength in enumerate((1.5, 0.0)):
        expected = (strength * fit.tables[0]).masked_fill(~allowed, -torch.inf).softmax(1)
        shares = torch.nn.functional.one_hot(choices[row::2], allowed.shape[1]).double().mean(0)
        # Five standard errors of a share.
        assert (shares - expected).abs().max() < 5 * (0.25 / (COUNT / 2)) ** 0.5


def test_what_is_drawn_keeps_fitted_bounds() -> None:
    scores, margins = fit_of(0), fit_of(1)
    free = AdditiveGuide(scores, torch.ones(COUNT, 1), None, frequencies(SPACE))
    bound = AdditiveGuide(scores, torch.ones(COUNT, 1), margins, frequencies(SPACE))
    kept = [float((margins(drawn(guide)) > 0).double().mean()) for guide in (free, bound)]
    assert kept[0] < 0.9
    # Nearly always: masked decisions are taken for Gaussian.
    assert kept[1] > max(0.85, kept[0] + 0.2)
