"""What may be by chance."""

import numpy as np
import pytest

from gennas.design.chance import chance_of, wilson


def test_wilson_is_that_of_a_textbook() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I: 81 of 263."""
    low, high = wilson(81 / 263, 263)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_stays_between_0_and_1_and_has_a_width_at_the_ends() -> None:
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=5e-5)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)


def test_mcnemar_is_exact() -> None:
    first = np.array([True] * 6 + [False] + [True] * 20)
    second = np.array([False] * 6 + [True] + [True] * 20)
    # Six of seven either way: 2 (7 + 1) / 2^7.
    assert chance_of(first, second) == pytest.approx(16 / 128)
    assert chance_of(second, first) == pytest.approx(16 / 128)
    assert chance_of(first, first) == 1.0
