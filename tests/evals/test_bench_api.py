"""The benchmark of the API in small. Times are not looked at."""

import pytest

from evals.bench.api import MOST_MS, measure, results

pytestmark = pytest.mark.slow


async def test_both_are_asked_the_same() -> None:
    times = await measure(2)
    assert {name: len(each) for name, each in times.items()} == {
        (what, who): 2 for what in MOST_MS for who in ("bare", "tollgate")
    }
    assert results(times).row_count == 4
