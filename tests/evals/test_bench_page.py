"""The page of the benchmarks has the rows that they declare, and no other. Figures are not looked at."""

import pytest

from evals.bench.__main__ import BENCHES, PAGE, page, rows, told
from evals.bench.rows import Row

PAGE_TEXT = PAGE.read_text()


def test_the_page_is_what_the_benchmarks_declare() -> None:
    [machine] = [line for line in PAGE_TEXT.splitlines() if line.startswith("Measured on ")]
    assert page(machine, told(PAGE_TEXT, BENCHES)) == PAGE_TEXT


def test_no_two_rows_have_one_name() -> None:
    starts = [each.start for bench in BENCHES for each in rows(bench)]
    assert len(starts) == len(set(starts))


def test_a_row_with_a_peer_says_what_the_peer_took() -> None:
    lines = told(PAGE_TEXT, BENCHES)
    for row in (each for bench in BENCHES for each in rows(bench)):
        _, _, _, _, peer, ratio, *_ = lines[row.start].split("|")
        assert (row.peer in peer, bool(ratio.strip())) == (True, bool(row.peer)), lines[row.start]


def test_a_line_has_medians_and_the_spread_of_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    Row("a call", "ms", "bare", "").tell([2, 4, 9], [1, 4, 3])
    Row("a job", "KB", "", "").tell([1234.5, 0.25])
    assert capsys.readouterr().out.splitlines() == [
        "| a call | ms | 4 | 3 (bare) | 2 | 1 - 3 | 3 |",
        "| a job | KB | 617 |  |  | 0.25 - 1,234 | 2 |",
    ]
