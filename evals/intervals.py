"""95 % confidence intervals, always the same for the same scores.

The unit is the question. Runs of one question are no independent draws, so they are averaged first, and the number of
questions, not of runs, decides how wide an interval is (clusters: E. Miller, "Adding Error Bars to Evals", 2024,
arXiv:2411.00640; one mean for each cluster is its conservative form).

- A quality is between 0 and 1: the score interval of E. B. Wilson (JASA 22, 1927). It is made for shares of yes and
  no; no other score with that mean varies more, so for scores in between it is rather too wide.
- An amount, and the difference of two runs on the same questions: the percentile bootstrap, widened by
  sqrt(n / (n - 1)), because it is too narrow for few values (T. Hesterberg, The American Statistician 69, 2015).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

Interval = tuple[float, float]

LEVEL = 0.95
RESAMPLES = 2_000
SEED = 20_150_101
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def wilson(scores: Sequence[float]) -> Interval:
    """The interval of the mean of scores between 0 and 1."""
    n, mean = len(scores), sum(scores) / len(scores)
    middle = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(max(mean * (1 - mean), 0) / n + _Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: Sequence[float]) -> Interval:
    """The interval of the mean of any numbers. One number alone tells nothing about others: it has no bounds."""
    n, mean = len(values), sum(values) / len(values)
    if n == 1:
        return -math.inf, math.inf
    drawn = np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))
    means = np.asarray(values, dtype=float)[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    wider = math.sqrt(n / (n - 1))
    return float(mean + (low - mean) * wider), float(mean + (high - mean) * wider)
