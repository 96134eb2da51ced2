"""Two processes and one job: one drives it, others watch, and whoever was left behind writes nothing more."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from app.stand_in.faults import HONEST
from tests.app.command_line import answered, seen, started, tollgate
from tests.app.offline_team import serving
from tests.app.queued import LONG

pytestmark = pytest.mark.slow

SLOW = {"TOLLGATE_STAND_IN_LATENCY_MS": "400"}


def job_in(lines: list[str]) -> str:
    return next(line.split()[-1] for line in lines if line.strip().startswith("job "))


def test_a_job_is_watched_from_another_process_from_its_beginning_to_its_end(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    del beside["TOLLGATE_STAND_IN_URL"]  # a slow one instead
    with started(tmp_path, "run", LONG, **beside, **SLOW) as process:
        before = seen(process, lambda line: "starts T" in line)
        watching = tollgate(tmp_path, "watch", job_in(before))
        assert process.wait(60) == 0
    assert watching.returncode == 0
    for told in ("plans", "starts T1", "finishes T1", "draft 1 written", "job  completed"):
        assert told in watching.stdout
    again = tollgate(tmp_path, "watch", job_in(before))
    assert again.stdout == watching.stdout


def test_there_is_nothing_to_watch_in_a_job_that_is_none(tmp_path: Path) -> None:
    ended = tollgate(tmp_path, "watch", "job-unknown")
    assert (ended.returncode, ended.stderr) == (2, "error: there is no job job-unknown\n")


def test_a_process_that_was_suspended_past_its_lease_writes_nothing_when_it_wakes_up(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    with serving(HONEST) as url:
        settings = beside | {"TOLLGATE_STAND_IN_URL": url}
        with started(tmp_path, "run", LONG, **settings) as process:
            job = job_in(seen(process, lambda line: "starts T" in line))
            os.kill(process.pid, signal.SIGSTOP)
            code, taken_over = answered(tmp_path, "resume", job, **settings)
            os.kill(process.pid, signal.SIGCONT)
            said = process.communicate(timeout=60)[1]
        billed = httpx.get(f"{url.removesuffix('/v1')}/invoice").json()
        _, after = answered(tmp_path, "resume", job, **settings)
    assert (code, taken_over["status"]) == (0, "completed")
    assert process.returncode != 0
    assert "another process" in said
    assert after["findings"] == taken_over["findings"]
    assert after["steps"] == taken_over["steps"]
    assert after["model_calls"] == billed["calls"]
