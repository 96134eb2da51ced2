"""Jobs that earlier versions have run can be read in every form, and are not run on."""

import asyncio
import contextlib
import json
import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.errors import BadInput
from graphs.state import SCHEMA_VERSION, EvidenceRef, FindingState, TaskState
from tests.app.api.in_process import Api
from tests.app.api.programs import replica
from tests.app.command_line import answered, tollgate
from tests.app.queued import deployment
from tests.app.stored_jobs import FILES, Stored, load, stored

MISSING = "store a job of this version: python -m tests.app.stored_jobs"


def test_there_is_a_stored_job_of_each_version() -> None:
    assert {f"v{number}" for number in range(1, SCHEMA_VERSION + 1)} <= set(FILES), MISSING


@pytest.mark.parametrize("file", FILES)
async def test_a_job_that_has_ended_is_read_in_all_forms(file: str, api: Api, redis_client: Redis) -> None:
    jobs = stored(file)
    await load(redis_client, jobs)
    async with api.client() as client:
        listed = (await client.get("/v1/jobs")).json()["items"]
        assert {(each["id"], each["status"]) for each in listed} == {
            (jobs.completed, "completed"),
            (jobs.waiting, "awaiting_human"),
        }
        job = (await client.get(f"/v1/jobs/{jobs.completed}")).json()
        assert (job["status"], job["stop_reason"]) == ("completed", "answered")
        assert job["findings"]
        forms = {}
        for form in ("md", "html", "pdf", "docx", "json"):
            answer = await client.get(job["links"]["report"], params={"format": form})
            assert answer.status_code == 200, (form, answer.text)
            forms[form] = answer.content
        trace = (await client.get(job["links"]["trace"])).json()
        events = (await client.get(job["links"]["events"])).text
    text = forms["md"].decode()
    assert f"Job `{jobs.completed}` · completed (answered)" in text
    assert "## Sources" in text
    assert b"<h2>Sources</h2>" in forms["html"]
    assert forms["pdf"].startswith(b"%PDF")
    told = json.loads(forms["json"])
    assert told["report"] == text
    assert [each["claim"] for each in told["result"]["findings"]] == [each["claim"] for each in job["findings"]]
    assert len(told["result"]["evidence"]) > 3
    assert trace["spend"]["cost_usd"] == job["cost_usd"] > 0
    assert trace["events"][-1]["data"]["status"] == "completed"
    assert events.count("event: ") == len(trace["events"])


@pytest.mark.parametrize("file", FILES)
async def test_the_state_has_all_that_is_read_today(file: str, api: Api, redis_client: Redis) -> None:
    jobs = stored(file)
    await load(redis_client, jobs)
    state = (await api.service.jobs.snapshot(jobs.completed)).values
    read = {
        "tasks": TaskState.__required_keys__,
        "findings": FindingState.__required_keys__,
        "evidence": EvidenceRef.__required_keys__,
    }
    for name, keys in read.items():
        assert state[name], name
        for each in state[name].values():
            assert keys <= set(each), name


@pytest.mark.parametrize("file", FILES)
async def test_a_job_that_has_ended_gets_its_files_again(file: str, api: Api, redis_client: Redis) -> None:
    jobs = stored(file)
    await load(redis_client, jobs)
    result = await api.service.jobs.run(jobs.completed, lambda _: None)
    assert result.status == "completed"
    folder = api.backend.settings.data_dir / "reports" / jobs.completed
    assert {f"{each['id']}.md" for each in result.evidence} <= {each.name for each in (folder / "evidence").iterdir()}


@pytest.mark.parametrize("file", [each for each in FILES if not each.startswith(f"v{SCHEMA_VERSION}")])
async def test_a_job_under_way_is_left_to_the_version_that_began_it(file: str, api: Api, redis_client: Redis) -> None:
    jobs = stored(file)
    await load(redis_client, jobs)
    async with api.client() as client:
        job = (await client.get(f"/v1/jobs/{jobs.waiting}")).json()
        assert job["escalation"]["what_happened"]
    why = f"its state has version ., and this program reads {SCHEMA_VERSION}; "
    with pytest.raises(BadInput, match=f"{why}resume it with the version that started it"):
        await api.service.jobs.run(jobs.waiting, lambda _: None)
    left = await api.service.jobs.run(jobs.waiting, lambda _: None, attempts=3)
    assert left.status == "dead"
    assert re.search(f"{why}requeue it while only workers of the version that started it run", left.stop_detail)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["approve_more", "finish_partial"])
def test_a_job_that_waits_with_this_version_s_state_is_decided(
    tmp_path: Path, beside: dict[str, str], action: str
) -> None:
    """The program may have changed since: its state has not."""
    jobs = stored(f"v{SCHEMA_VERSION}")
    more = ("--amount-usd", "0.10") if action == "approve_more" else ()
    with deployment(tmp_path) as here:
        asyncio.run(filled(here.redis_url, jobs))
        there = beside | {"REDIS_URL": here.redis_url}
        code, decided = answered(tmp_path, "decide", jobs.waiting, "--action", action, *more, **there)
    wanted = {"approve_more": (0, "completed"), "finish_partial": (3, "partial")}
    assert (code, decided["status"]) == wanted[action], decided["stop_reason"]


@pytest.mark.slow
def test_the_command_line_reads_it(tmp_path: Path) -> None:
    jobs = stored(FILES[0])
    with deployment(tmp_path) as here, replica(here) as api:
        asyncio.run(filled(here.redis_url, jobs))
        watched = tollgate(tmp_path, "watch", jobs.completed, REDIS_URL=here.redis_url)
        assert "every number is in evidence" in watched.stdout
        printed = tollgate(tmp_path, "report", jobs.completed, "--url", api.url)
        assert f"Job `{jobs.completed}` · completed (answered)" in printed.stdout


async def filled(redis_url: str, jobs: Stored) -> None:
    async with contextlib.aclosing(Redis.from_url(redis_url)) as client:
        await load(client, jobs)
