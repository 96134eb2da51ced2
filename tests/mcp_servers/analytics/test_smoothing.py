"""What makes the intervals of a forecast honest."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcp_servers.analytics import smoothing


def noisy(count: int, seed: int, mean: Callable[[int], float]) -> list[float]:
    source = random.Random(seed)
    return [mean(at) * (1 + source.gauss(0, 0.05)) for at in range(count)]


def test_an_interval_is_made_of_quantiles_of_the_summed_paths() -> None:
    ladder = np.arange(101, dtype=float)
    futures = smoothing.Futures(np.array([50.0, 50.0]), np.stack([ladder, ladder]))
    assert futures.interval(0, 1, 90) == pytest.approx((50, 5, 95))
    assert futures.interval(0, 2, 50) == pytest.approx((100, 50, 150))


def test_an_interval_holds_its_point_beside_any_distribution() -> None:
    paths = np.full((1, 100), 7.0)
    assert smoothing.Futures(np.array([5.0]), paths).interval(0, 1, 50) == (5, 5, 7)
    assert smoothing.Futures(np.array([9.0]), paths).interval(0, 1, 50) == (9, 7, 9)


@pytest.mark.slow
def test_short_histories_get_intervals_that_hold_what_then_happens() -> None:
    """Ten values, three ahead, twenty times. The likelihood's own variance held 46 of the 60."""
    held = 0
    for seed in range(20):
        values = noisy(13, seed, lambda at: 100 + 5 * at)
        futures = smoothing.simulate(smoothing.fit(values[:10], 1), 3)
        for at, value in enumerate(values[10:]):
            _, low, high = futures.interval(at, at + 1, 95)
            held += low <= value <= high
    assert held >= 50


@pytest.mark.slow
def test_doubt_about_the_parameters_widens_a_yearly_total() -> None:
    fitted = smoothing.fit(noisy(48, 2, lambda at: 100 + 2 * at + 20 * (at % 12)), 12)
    best = fitted[0]
    certain = replace(best, weights=np.eye(len(best.weights))[np.argmax(best.weights)], doubt=0 * best.doubt)
    _, low, high = smoothing.simulate(fitted, 12).interval(0, 12, 95)
    _, certain_low, certain_high = smoothing.simulate([certain], 12).interval(0, 12, 95)
    assert high - low > 1.2 * (certain_high - certain_low)


def test_a_series_that_no_model_fits_is_refused() -> None:
    with pytest.raises(smoothing.NoFitError):
        smoothing.fit([1.0, 2.0, 3.0, 5.0], 1)
