"""What is under the data folder is its owner's alone, and ends with its job."""

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from graphs.clock import utc_now
from graphs.spending.limits import Limits
from tests.app.command_line import TOLLGATE, environment

DAY_S = 86_400
QUESTION = "How did our revenue develop from 2024 to 2025, and what can we expect in 2026?"
SALES = "date,product,revenue_eur\n2024-01-02,Volt,10\n"


@pytest.fixture(autouse=True)
def _others_may_read() -> Iterator[None]:
    """As most people's shells have it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    everything = [folder, *folder.rglob("*")]
    return [str(each) for each in everything if not each.is_symlink() and stat.S_IMODE(each.stat().st_mode) & 0o077]


def old(folder: Path, days: int = 15) -> Path:
    """A report of so many days ago."""
    (folder / "evidence").mkdir(parents=True)
    (folder / "report.md").write_text("# It was so\n", encoding="utf-8")
    os.utime(folder / "report.md", (0, time.time() - days * DAY_S))
    return folder


@pytest.mark.slow
def test_a_run_leaves_nothing_that_others_can_read(tmp_path: Path, beside: dict[str, str]) -> None:
    data = tmp_path / ".data"
    for name in ("reports", "logs", "sales", "redis"):  # of an earlier version
        (data / name).mkdir(parents=True)
    gone = old(data / "reports" / "job-20250101-000000-0a1b2c3d4e")
    (tmp_path / "own.csv").write_text(SALES, encoding="utf-8")
    before = data.stat().st_mode
    del beside["MCP__SALES__URL"]
    ended = subprocess.run(
        [TOLLGATE, "run", QUESTION],
        cwd=tmp_path,
        env=environment(beside | {"TOLLGATE_SALES_DATA": "own.csv"}),
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode in {0, 3}, ended.stderr
    made = {each.name for each in data.rglob("*")}
    assert {"report.md", "E1.md", "sales.log", "valkey.log"} <= made
    assert any(name.startswith("own-") for name in made)
    assert [each for each in open_to_others(data) if each != str(data)] == []
    assert data.stat().st_mode == before  # it may be anybody's: what is ours in it is closed
    assert not gone.exists()


async def test_the_files_of_a_job_end_with_it(tmp_path: Path, redis_client: Redis) -> None:
    records = Records(redis_client, ttl_seconds=600)
    nothing: Any = None
    reports = ReportFolder(tmp_path / "reports", nothing, ttl_seconds=14 * DAY_S)
    await reports.tidy(records)  # there is no folder yet
    kept, ended, fresh = (f"job-20250101-00000{number}-0a1b2c3d4e" for number in range(3))
    now = utc_now()
    record = Record(
        job_id=kept, question="?", tenant="acme", limits=Limits(), status="completed", created_at=now, updated_at=now
    )
    await records.add(record)
    old(reports.root / kept)
    old(reports.root / ended)
    old(reports.root / fresh, days=13)
    old(reports.root / "notes")
    old(tmp_path / "elsewhere")
    linked = reports.root / "job-20250101-000003-0a1b2c3d4e"
    linked.symlink_to(tmp_path / "elsewhere")
    await reports.tidy(records)
    assert {each.name for each in reports.root.iterdir()} == {kept, fresh, "notes", linked.name}
    assert (tmp_path / "elsewhere/report.md").is_file()
    await records.mark_deleted("acme", fresh)
    await records.remove(kept)
    await reports.tidy(records)
    assert {each.name for each in reports.root.iterdir()} == {"notes", linked.name}
