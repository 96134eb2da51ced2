"""The sample business is the same each time, and generating it disturbs no one."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest

from mcp_servers.sales import own_data
from mcp_servers.sales.database import open_locked
from sample import SALES

pytestmark = pytest.mark.slow

# Changes with sales.sql only. If it differs on your machine alone, a draw depends on the platform.
FINGERPRINT = "14222faeff423227"
TABLES = ("customers", "order_lines", "products", "returns", "targets")


def fingerprint(database: Path) -> str:
    with open_locked(database) as connection:
        sums = [
            connection.execute(f"SELECT count(*), sum(md5_number_lower(t::VARCHAR)) FROM {name} t").fetchall()
            for name in TABLES
        ]
    return hashlib.sha256(str(sums).encode()).hexdigest()[:16]


def test_the_figures_are_the_same_everywhere(with_sales: Path) -> None:
    database, _ = own_data.load(SALES, with_sales)
    assert fingerprint(database) == FINGERPRINT


def test_it_is_about_a_quarter_of_a_million_lines_of_four_years_in_eight_countries(with_sales: Path) -> None:
    database, _ = own_data.load(SALES, with_sales)
    with open_locked(database) as connection:
        [(lines, first, last, countries)] = connection.execute(
            "SELECT count(*), min(month), max(month), count(DISTINCT country) FROM sales"
        ).fetchall()
        [(without_view,)] = connection.execute("SELECT count(*) FROM order_lines").fetchall()
    assert lines == without_view == pytest.approx(250_000, rel=0.02)
    assert (first, last, countries) == ("2022-01", "2025-12", 8)


def test_two_processes_may_start_at_once_and_make_the_same(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=own_data.load, args=(SALES, tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    [database] = tmp_path.glob("sales/*")
    assert fingerprint(database) == FINGERPRINT
