"""Intervals: against published values, and against what they promise: to cover the mean about 95 times of 100."""

import math
import random

import pytest

from evals.intervals import bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_published_interval(successes: int, of: int, low: float, high: float) -> None:
    assert wilson([1.0] * successes + [0.0] * (of - successes)) == pytest.approx((low, high), abs=0.00005)


def test_what_is_always_right_may_still_fail() -> None:
    low, high = wilson([1.0] * 10)
    assert high == 1
    assert 0.65 < low < 0.75
    assert wilson([1.0] * 40)[0] > low


@pytest.mark.parametrize("n", [10, 40])
def test_amounts_are_covered_as_often_as_promised(n: int) -> None:
    chance = random.Random(1)
    covered = 0
    for _ in range(300):
        low, high = bootstrap([chance.gauss(100, 20) for _ in range(n)])
        covered += low <= 100 <= high
    assert 0.88 <= covered / 300 <= 0.99


def test_the_same_scores_have_the_same_interval() -> None:
    assert bootstrap([1, 2, 4, 8]) == bootstrap([1, 2, 4, 8])
    assert bootstrap([3, 3, 3]) == (3, 3)
    assert bootstrap([3]) == (-math.inf, math.inf), "one value tells nothing about others"
    low, high = bootstrap([-1, 1, 0, 2, 3])
    assert low < 1 < high
