"""Deleting a job: of an ended one nothing is left but its sums, of any other nothing is deleted."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from app.access.keys import Scope
from app.config.settings import Settings
from app.jobs.states import TERMINAL, Status
from app.recording.recorder import Recorder
from app.work.queue import Call, Worker
from graphs.evidence.store import Evidence
from tests.app.api.in_process import QUESTION, Api, api_over
from tests.app.api.test_conformance import problem
from tests.app.left_behind import files_of, keys_of

ORDER: dict[str, Any] = {"json": {"question": QUESTION}, "headers": {"Idempotency-Key": "monday"}}
EVIDENCE = Evidence(
    task="T1", server="sales", tool="query_sales", arguments={}, content={}, text="secret", duration_ms=1, called_at="?"
)


@pytest.fixture
async def api(settings: Settings, redis_url: str, tmp_path: Path) -> Any:
    async with api_over(settings, redis_url, data_dir=tmp_path) as found:
        yield found


async def kept(api: Api, client: httpx.AsyncClient, status: Status, **headers: str) -> str:
    """A job with this status, and with all that is kept of one; its id."""
    job_id = str((await client.post("/v1/jobs", json=ORDER["json"], headers=headers)).json()["id"])
    service = api.service
    await service.deps.evidence.add(job_id, EVIDENCE)
    await service.log.append(job_id, [{"type": "warning", "message": "secret"}])
    graph, recorder = service.jobs.graph, Recorder(service.client, ttl_seconds=60)
    await graph.aupdate_state({"configurable": {"thread_id": job_id}}, {"question": "secret"}, as_node="intake")
    async with service.jobs._leases.held(job_id) as token:
        await service.records.write(job_id, {"status": status})
        recorder.begin(job_id, token, {"kind": "run", "question": "secret"})
        await recorder.flush(job_id)
    folder = api.backend.settings.data_dir / "reports" / job_id / "evidence"
    folder.mkdir(parents=True)
    (folder / "E1.md").write_text("secret")
    if status == "dead":
        await service.registry.bury("acme", job_id)
    return job_id


async def test_of_a_deleted_job_of_each_status_nothing_is_left(api: Api, subtests: pytest.Subtests) -> None:
    async with api.client(await api.key()) as client:
        for status in get_args(Status):
            with subtests.test(status):
                job_id = await kept(api, client, status, **{"Idempotency-Key": status})
                before = await keys_of(api.service.client, job_id)
                assert len(before) > 8
                answer = await client.delete(f"/v1/jobs/{job_id}")
                if status not in TERMINAL:
                    assert f"its status is {status}; cancel it first" in problem(answer, "conflict").detail
                    assert await keys_of(api.service.client, job_id) == before
                    continue
                assert (answer.status_code, answer.content) == (204, b"")
                assert await keys_of(api.service.client, job_id) == set()
                assert files_of(api.backend.settings.data_dir, job_id) == []
                problem(await client.get(f"/v1/jobs/{job_id}"), "no-such-job")
                assert (await client.delete(f"/v1/jobs/{job_id}")).status_code == 204, "once more"
                assert (await client.get("/v1/jobs", params={"status": status})).json()["items"] == []


async def test_an_idempotency_key_is_free_again_and_another_job_s_is_not(api: Api) -> None:
    async with api.client(await api.key()) as client:
        deleted = await kept(api, client, "failed", **ORDER["headers"])
        await client.delete(f"/v1/jobs/{deleted}")
        again = (await client.post("/v1/jobs", **ORDER)).json()["id"]
        assert again != deleted
        await api.service.registry.forget("acme", deleted, (await api.service.get("acme", again)).once)
        assert (await client.post("/v1/jobs", **ORDER)).json()["id"] == again


async def test_a_deletion_is_one_tenant_s_and_in_the_audit_trail(api: Api) -> None:
    async with (
        api.client(await api.key()) as client,
        api.client(await api.key(Scope.DELETE, tenant="umbrella")) as other,
        api.client(await api.key(Scope.DELETE)) as deleter,
    ):
        job_id = await kept(api, client, "completed")
        problem(await other.delete(f"/v1/jobs/{job_id}"), "no-such-job")
        assert (await deleter.delete(f"/v1/jobs/{job_id}")).status_code == 204
        problem(await other.delete(f"/v1/jobs/{job_id}"), "no-such-job")
    entries = [each.data for each in await api.backend.audit.read("acme")]
    assert [each["action"] for each in entries if each["job_id"] == job_id] == ["submit", "delete"]


async def test_a_worker_that_has_not_finished_with_it_is_waited_for(api: Api) -> None:
    async with api.client(await api.key()) as client:
        job_id = await kept(api, client, "completed")
        worker = Worker("w", 2, 2, 60)
        await api.service.queue.take(worker, 1)
        assert "a worker has not finished" in problem(await client.delete(f"/v1/jobs/{job_id}"), "conflict").detail
        assert (await client.get(f"/v1/jobs/{job_id}")).status_code == 200
        await api.service.queue.done(worker, Call("acme", job_id))
        assert (await client.delete(f"/v1/jobs/{job_id}")).status_code == 204


async def test_what_a_suspended_process_writes_afterwards_is_removed_as_well(api: Api) -> None:
    async with api.client(await api.key()) as client:
        job_id = await kept(api, client, "completed")
        await client.delete(f"/v1/jobs/{job_id}")
    await api.service.deps.evidence.add(job_id, EVIDENCE)
    await api.service.log.append(job_id, [{"type": "warning", "message": "secret"}], fence=1)
    assert len(await keys_of(api.service.client, job_id)) > 1
    await api.service.jobs.tidy()
    assert await keys_of(api.service.client, job_id) == set()


async def test_two_deletions_at_once_are_one(api: Api) -> None:
    async with api.client(await api.key()) as client:
        job_id = await kept(api, client, "dead")
        answers = await asyncio.gather(*(client.delete(f"/v1/jobs/{job_id}") for _ in range(5)))
        assert {each.status_code for each in answers} <= {204, 409}
        assert (await client.delete(f"/v1/jobs/{job_id}")).status_code == 204
    assert await keys_of(api.service.client, job_id) == set()
