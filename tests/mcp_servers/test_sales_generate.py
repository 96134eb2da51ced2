"""The sample business is the same each time, and generating it disturbs no one."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest

from mcp_servers.sales import generate
from mcp_servers.sales.database import open_locked

# Changes with voltbay.sql only. If it differs on your machine alone, a draw depends on the platform.
FINGERPRINT = "14222faeff423227"
TABLES = ("customers", "order_lines", "products", "returns", "targets")


def fingerprint(database: Path) -> str:
    with open_locked(database) as connection:
        sums = [
            connection.execute(f"SELECT count(*), sum(md5_number_lower(t::VARCHAR)) FROM {name} t").fetchall()
            for name in TABLES
        ]
    return hashlib.sha256(str(sums).encode()).hexdigest()[:16]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sales").mkdir()
    return tmp_path


def test_the_figures_are_the_same_each_time_and_everywhere(tmp_path: Path) -> None:
    for name in ("first", "second"):
        generate.generate(tmp_path / name)
        assert fingerprint(tmp_path / name) == FINGERPRINT


def test_it_is_about_a_quarter_of_a_million_lines_of_four_years_in_eight_countries(folder: Path) -> None:
    database, _ = generate.ensure(folder)
    with open_locked(database) as connection:
        [(lines, first, last, countries)] = connection.execute(
            "SELECT count(*), min(month), max(month), count(DISTINCT country) FROM sales"
        ).fetchall()
        [(without_view,)] = connection.execute("SELECT count(*) FROM order_lines").fetchall()
    assert lines == without_view == pytest.approx(250_000, rel=0.02)
    assert (first, last, countries) == ("2022-01", "2025-12", 8)


def test_a_database_of_this_version_is_kept(folder: Path) -> None:
    database, version = generate.ensure(folder)
    written = database.stat().st_mtime_ns
    assert generate.ensure(folder) == (database, version)
    assert database.stat().st_mtime_ns == written


@pytest.mark.parametrize("broken", [b"", b"not a database at all"])
def test_a_broken_database_is_made_again(folder: Path, broken: bytes) -> None:
    (folder / "sales" / "voltbay.duckdb").write_bytes(broken)
    database, _ = generate.ensure(folder)
    assert fingerprint(database) == FINGERPRINT


def test_two_processes_may_start_at_once(folder: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=generate.ensure, args=(folder,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert [file.name for file in folder.glob("sales/*")] == ["voltbay.duckdb"]
    assert fingerprint(folder / "sales" / "voltbay.duckdb") == FINGERPRINT
