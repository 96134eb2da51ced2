"""Who may call: open mode on this machine only, limits per key, what is written down, and what fails."""

import asyncio
import contextlib
import functools
import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import ConnectionError as NoConnection

from app.access.keys import Scope
from app.api import outcomes, sse
from app.api.sse import event_stream
from app.config.settings import Settings
from app.store.embedded_redis import embedded_redis
from tests.app.api.in_process import QUESTION, Api, api_over
from tests.app.api.test_conformance import UNKNOWN_JOB, problem
from tests.app.event_readers import until

# -- open mode --


async def test_without_any_key_this_machine_may_do_everything(api: Api) -> None:
    for base in ("http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000", "http://LOCALHOST:9"):
        async with api.client(base_url=base) as client:
            assert (await client.get("/v1/spend")).status_code == 200
            assert (await client.get("/v1/spend", headers={"Origin": "http://localhost:3000"})).status_code == 200


async def test_a_web_page_that_has_itself_called_local_is_refused(api: Api) -> None:
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "",
        "[",
        "x@evil",
        "%00",
    ):
        async with api.client() as client:
            problem(await client.get("/v1/jobs", headers={"Host": host}), "misdirected")
    for origin in ("https://evil.example", "null", "", "http://localhost.evil.example", "http://["):
        async with api.client() as client:
            problem(await client.post("/v1/jobs", json={}, headers={"Origin": origin}), "misdirected")


async def test_open_mode_is_for_loopback_only(settings: Settings, redis_url: str) -> None:
    async with api_over(settings, redis_url, loopback=False) as api, api.client() as client:
        problem(await client.get("/v1/jobs"), "unauthorized")


async def test_the_first_key_ends_open_mode(api: Api) -> None:
    async with api.client() as client:
        assert (await client.get("/metrics")).status_code == 200
        secret = await api.key(Scope.READ)
        problem(await client.get("/v1/jobs"), "unauthorized")
        problem(await client.get("/metrics"), "unauthorized")
        problem(await client.get("/nothing"), "unauthorized")
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/problems/invalid"):
            assert (await client.get(path)).status_code == 200
    async with api.client(secret, base_url="https://api.example.com") as client:
        assert (await client.get("/v1/jobs", headers={"Origin": "https://app.example.com"})).status_code == 200


async def test_revoking_the_last_key_lets_nobody_in(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the readers who came in before there was one."""
    monkeypatch.setattr(outcomes, "event_stream", functools.partial(event_stream, heartbeat_s=0.02))
    monkeypatch.setattr(sse, "LOOK_S", 0.02)
    async with api.client() as client:
        job = (await client.post("/v1/jobs", json={"question": QUESTION})).json()
        reading = asyncio.create_task(client.get(job["links"]["events"]))
        await until(lambda: api.service.log._tail._watched, "it follows")
        await api.backend.keys.revoke((await api.backend.keys.create("acme", list(Scope))).key.id)
        problem(await client.get("/v1/jobs"), "unauthorized")
        assert (await reading).status_code == 200
        await api.backend.keys.waive()
        assert (await client.get("/v1/jobs")).status_code == 200


# -- limits --


async def test_who_reads_events_reads_none_any_more_when_the_key_is_revoked(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "event_stream", functools.partial(event_stream, heartbeat_s=0.02))
    monkeypatch.setattr(sse, "LOOK_S", 0.02)
    revoked, kept = [(await api.backend.keys.create("acme", list(Scope))) for _ in range(2)]
    async with api.client(revoked.secret) as one, api.client(kept.secret) as other:
        job = (await one.post("/v1/jobs", json={"question": QUESTION})).json()
        reading = [asyncio.create_task(client.get(job["links"]["events"])) for client in (one, other)]
        await api.backend.keys.revoke(revoked.key.id)
        assert (await reading[0]).status_code == 200
        assert not reading[1].done()
        await api.service.log.append(job["id"], [{"type": "job", "status": "cancelled"}])
        assert b"cancelled" in (await reading[1]).content


async def test_each_key_has_its_own_limit(settings: Settings, redis_url: str) -> None:
    async with api_over(settings, redis_url, requests_per_minute=1, requests_burst=3) as api:
        for secret in (await api.key(), await api.key()):
            async with api.client(secret) as client:
                answers = [await client.get("/v1/jobs") for _ in range(4)]
            assert [each.headers["ratelimit-remaining"] for each in answers] == ["2", "1", "0", "0"]
            problem(answers[3], "too-many-requests")
            assert 1 <= int(answers[3].headers["retry-after"]) <= 60


async def test_strangers_are_limited_by_their_address(settings: Settings, redis_url: str) -> None:
    async with api_over(settings, redis_url, requests_per_minute=1, requests_burst=2) as api:
        secret = await api.key()
        guesses = [f"tg_{'a' * 12}_{letter * 43}" for letter in "abc"]
        answers: list[httpx.Response] = []
        for guess in guesses:
            async with api.client(guess, address="192.0.2.7") as client:
                answers.append(await client.get("/v1/jobs"))
        assert [each.status_code for each in answers] == [401, 401, 429]
        async with api.client(address="192.0.2.8") as client:
            problem(await client.get("/v1/jobs"), "unauthorized")
        async with api.client(secret, address="192.0.2.7") as client:
            assert (await client.get("/v1/jobs")).status_code == 200


# -- what is written down --


async def test_every_change_is_in_the_audit_trail(api: Api) -> None:
    dead = [await api.dead(), await api.dead()]
    secret = await api.key()
    async with api.client(secret) as client:
        job = (await client.post("/v1/jobs", json={"question": QUESTION}, headers={"X-Request-ID": "trace-1"})).json()
        await client.post(job["links"]["cancel"], headers={"X-Request-ID": "trace-2"})
        await client.post(f"/v1/dead-letters/{dead[0]}/requeue", headers={"X-Request-ID": "trace-3"})
        await client.post(f"/v1/dead-letters/{dead[1]}/discard", headers={"X-Request-ID": "trace-4"})
        await client.post(f"/v1/dead-letters/{UNKNOWN_JOB}/discard")  # changes nothing
    key = (await api.backend.keys.list())[0]
    entries = [entry.data for entry in await api.backend.audit.read()]
    assert [(each["action"], each["job_id"], each["trace_id"]) for each in entries] == [
        ("submit", job["id"], "trace-1"),
        ("cancel", job["id"], "trace-2"),
        ("requeue", dead[0], "trace-3"),
        ("discard", dead[1], "trace-4"),
    ]
    assert {(each["actor"], each["tenant"]) for each in entries} == {(key.id, "acme")}
    assert await api.backend.audit.verify() is None


async def test_the_audit_trail_is_exported_by_tenant_and_from_any_entry_on(api: Api) -> None:
    audit = api.backend.audit
    for number in range(1100):
        await audit.append(f"act {number}", "test", "other" if number % 10 == 0 else "acme")
    async with api.client(await api.key(Scope.ADMIN)) as client:
        answer = await client.get("/v1/audit")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        entries = [json.loads(line) for line in answer.text.splitlines()]
        assert [each["action"] for each in entries] == [f"act {number}" for number in range(1100) if number % 10]
        assert [each["mac"] for each in entries] == [each.mac for each in await audit.read("acme", most=1000)]
        rest = await client.get("/v1/audit", params={"after": entries[-3]["id"]})
        assert [json.loads(line) for line in rest.text.splitlines()] == entries[-2:]
        assert (await client.get("/v1/audit", params={"after": entries[-1]["id"]})).text == ""
        problem(await client.get("/v1/audit", params={"after": "yesterday"}), "invalid")
    assert [len(page) for page in [page async for page in audit.pages("acme")]] == [500, 490], "it keeps one at a time"


async def test_what_is_done_is_told_also_when_the_trail_cannot_be_written(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    dead = [await api.dead(), await api.dead()]
    secret = await api.key()
    await api.service.client.set("tollgate:{audit}:log", "no stream", ex=60)
    same: dict[str, Any] = {"json": {"question": QUESTION}, "headers": {"Idempotency-Key": "monday"}}
    async with api.client(secret) as client:
        answers = [await client.post("/v1/jobs", **same), await client.post("/v1/jobs", **same)]
        job = answers[0].json()
        answers.append(await client.post(job["links"]["cancel"]))
        answers += [await client.post(f"/v1/dead-letters/{dead[0]}/requeue")]
        answers += [await client.post(f"/v1/dead-letters/{dead[1]}/discard")]
        assert [each["id"] for each in (await client.get("/v1/jobs")).json()["items"]].count(job["id"]) == 1
    assert [each.status_code for each in answers] == [202, 202, 202, 202, 200]
    (key,) = await api.backend.keys.list()
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert [line.split(":")[1].split()[0] for line in lines] == ["submit", "submit", "cancel", "requeue", "discard"]
    assert all(f"by {key.id} of acme" in line for line in lines)


async def test_a_request_id_that_is_not_sane_is_replaced(api: Api) -> None:
    async with api.client() as client:
        for given in ("a b", "x" * 65, "<script>", "a\tb", ""):
            answer = await client.get("/healthz", headers={"X-Request-ID": given})
            assert answer.headers["x-request-id"] != given
            assert len(answer.headers["x-request-id"]) == 32


async def test_a_request_is_one_line_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    secret = await api.key()
    with caplog.at_level(logging.INFO, "app.api"):
        async with api.client(secret) as client:
            await client.get("/v1/jobs%0aGET /forged 200", headers={"X-Request-ID": "trace-9"})
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("app.api")]
    assert len(lines) == 1
    assert "404" in lines[0]
    assert "trace-9" in lines[0]
    assert "\n" not in lines[0]
    assert secret not in lines[0]
    assert (await api.backend.keys.list())[0].id in lines[0]


async def test_metrics_count_by_template(api: Api) -> None:
    await api.dead("local")
    async with api.client() as client:
        for _ in range(2):
            await client.get(f"/v1/jobs/{UNKNOWN_JOB}")
        await client.get("/a/b/c")
        await client.request("BREW", "/healthz")
        text = (await client.get("/metrics")).text
    assert 'tollgate_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"} 2.0' in text
    assert 'tollgate_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'tollgate_http_requests_total{method="other",route="/healthz",status="405"} 1.0' in text
    assert 'tollgate_http_request_seconds_count{method="GET",route="/v1/jobs/{job_id}"} 2.0' in text
    assert "tollgate_dead_letters 1.0" in text
    assert "tollgate_jobs_waiting 1.0" in text
    assert "tollgate_jobs_suspended 0.0" in text


async def test_metrics_tell_what_the_store_knows_of_all(api: Api) -> None:
    service, circuit = api.service, api.backend.circuits["mcp_sales"]
    await service.deps.ledger.reserve_for_the_day("c1", 3_000_000, 20_000_000, expires_in_s=60)
    await service.deps.ledger.settle("c1", 2_000_000)
    await service.deps.ledger.reserve_for_the_day("c2", 500_000, 20_000_000, expires_in_s=60)
    await service.registry.asks("job-1")
    for _ in range(5):
        await circuit.failed()
    async with api.client() as client:
        text = (await client.get("/metrics")).text
    told = {family.name: family.samples for family in text_string_to_metric_families(text)}
    now = {name.removeprefix("tollgate_"): samples[0].value for name, samples in told.items() if samples}
    assert (now["day_spent_usd"], now["day_reserved_usd"], now["day_limit_usd"]) == (2, 0.5, 20)
    assert now["day_projected_usd"] >= 2
    assert (now["jobs_awaiting_human"], now["queue_oldest_seconds"]) == (1, 0)
    assert 0 <= now["awaiting_human_oldest_seconds"] < 60
    is_open = {each.labels["circuit"]: each.value for each in told["tollgate_circuit_open"]}
    assert is_open == {"model": 0, "mcp_knowledge_base": 0, "mcp_sales": 1, "mcp_analytics": 0}
    await service.registry.asks_no_more("job-1")
    assert await service.registry.asking() == (0, 0)


# -- money of the day --


async def test_the_deployments_spend_is_for_admins(api: Api) -> None:
    async with api.client(await api.key(Scope.READ)) as client:
        told = (await client.get("/v1/spend")).json()
    assert [told["tenant"][f"{name}_usd"] for name in ("spent", "reserved", "limit")] == [0, 0, 5]
    assert told["deployment"] is None
    async with api.client(await api.key(Scope.READ, Scope.ADMIN)) as client:
        assert (await client.get("/v1/spend")).json()["deployment"]["limit_usd"] == 20


async def test_an_admin_sets_budgets_of_today_and_without_one_no_job_is_accepted(api: Api) -> None:
    admin, other = await api.key(), await api.key(tenant="other")
    async with api.client(admin) as client, api.client(other) as neighbour:
        before = (await client.post("/v1/jobs", json={"question": QUESTION})).json()
        told = (await client.post("/v1/spend/limits", json={"limit_usd": 4})).json()
        assert (told["tenant"]["limit_usd"], told["deployment"]["limit_usd"]) == (2, 4), "a tenant has half of it"
        told = (await client.post("/v1/spend/limits", json={"limit_usd": 0, "tenant": "acme"})).json()
        assert (told["tenant"]["limit_usd"], told["deployment"]["limit_usd"]) == (0, 4)
        refused = await client.post("/v1/jobs", json={"question": QUESTION})
        detail = problem(refused, "no-budget-today").detail
        assert re.fullmatch(r"the tenant's budget for today is used up; it begins anew at .* 00:00 UTC", detail)
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400
        assert [each["id"] for each in (await client.get("/v1/jobs")).json()["items"]] == [before["id"]]
        assert (await neighbour.post("/v1/jobs", json={"question": QUESTION})).status_code == 202
        for wrong in ({"limit_usd": -1}, {"limit_usd": 1, "tenant": "A B"}, {"tenant": "acme"}, {"limit_usd": 1e7}):
            problem(await client.post("/v1/spend/limits", json=wrong), "invalid")
    entries = [each.data for each in await api.backend.audit.read("acme")]
    changes = [each["detail"] for each in entries if each["action"] == "spend.limit"]
    assert changes == [{"tenant": None, "limit_usd": 4.0}, {"tenant": "acme", "limit_usd": 0.0}]


# -- what fails --


async def test_without_redis_it_is_unavailable_and_lives(settings: Settings, tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        async with contextlib.AsyncExitStack() as stack:
            api = await stack.enter_async_context(api_over(settings, url))
            client = await stack.enter_async_context(api.client())
            assert (await client.get("/readyz")).status_code == 200
            with contextlib.suppress(NoConnection):
                await api.service.client.shutdown(nosave=True)
            for path in ("/readyz", "/v1/jobs", f"/v1/jobs/{UNKNOWN_JOB}/events", "/v1/spend"):
                answer = await client.get(path)
                assert "127.0.0.1" not in problem(answer, "unavailable").detail
                assert answer.headers["retry-after"] == "5"
            assert (await client.get("/healthz")).status_code == 200


async def test_an_error_of_ours_tells_nothing_but_its_id(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    job_id = await api.dead("local")
    await api.service.client.hset(f"tollgate:{{{job_id}}}:job", "limits", "not JSON at all")
    async with api.client() as client:
        told = problem(await client.get(f"/v1/jobs/{job_id}"), "internal")
    assert "JSON" not in told.detail
    assert any(told.request_id in record.getMessage() and record.exc_info for record in caplog.records)
