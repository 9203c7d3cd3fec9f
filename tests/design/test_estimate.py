"""What a design is said to cost: in proportion to pixels, by the latency that was measured."""

from __future__ import annotations

import pytest

from gennas.design.estimate import Pace

PACE = Pace(side=100, training=0.02, predicting=0.005, latency_ms=4.0, gigabytes=1.0)


def test_time_follows_the_pixels_but_for_a_tenth() -> None:
    assert PACE.at(100) == pytest.approx(0.02)
    assert PACE.at(50) == pytest.approx(0.02 * (0.1 + 0.9 / 4))
    assert PACE.at(200, training=False) == pytest.approx(0.005 * (0.1 + 0.9 * 4))


def test_the_resolution_is_that_of_the_measured_latency_not_of_the_time_in_training() -> None:
    sides = (40, 60, 80, 100)
    # 4 ms at 100 pixels, 2.7 at 80, 1.7 at 60: a batch in PyTorch takes 5 ms an image there.
    assert [PACE.largest_within(sides, most_ms) for most_ms in (4.0, 3.9, 1.8, 0.1)] == [100, 80, 60, 40]
