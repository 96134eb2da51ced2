"""Ordering jobs over HTTP: what is accepted, what is refused, once per Idempotency-Key, and pages of them."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.access.keys import Scope
from app.config.settings import Settings
from tests.app.api.in_process import QUESTION, Api, api_over
from tests.app.api.test_conformance import problem
from tests.examples import at_most

DEFAULT = Settings(_env_file=None)


async def ordered(client: httpx.AsyncClient, **job: Any) -> httpx.Response:
    return await client.post("/v1/jobs", json={"question": QUESTION, **job})


# -- what is accepted --


async def test_an_order_is_accepted_and_can_be_looked_at(api: Api) -> None:
    async with api.client(await api.key()) as client:
        asked = {"budget_usd": 0.1, "deadline_s": 90, "on_limit": "fail", "metadata": {"team": "sales"}}
        answer = await ordered(client, **asked)
        job = answer.json()
        again = await client.get(answer.headers["location"])
    assert answer.status_code == 202
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert again.json() == job
    assert (job["status"], job["budget_usd"], job["cost_usd"], job["metadata"]) == ("queued", 0.1, 0, {"team": "sales"})
    record = await api.service.records.get(job["id"])
    assert (record.limits.budget_micro_usd, record.limits.deadline_s, record.limits.on_limit) == (100_000, 90, "fail")
    assert (record.tenant, record.question) == ("acme", QUESTION)


@settings(max_examples=at_most(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(micro=st.integers(1, DEFAULT.ceiling.budget_micro_usd))
async def test_money_is_exact_to_the_micro_dollar(api: Api, micro: int) -> None:
    async with api.client() as client:
        body = f'{{"question": {json.dumps(QUESTION)}, "budget_usd": {Decimal(micro) / 1_000_000:f}}}'
        answer = await client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202
        record = await api.service.records.get(answer.json()["id"])
        assert record.limits.budget_micro_usd == micro


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "question": ["", "  ", "x" * 2001, None, 7, ["a question"]],
        "budget_usd": [0, -1, 0.0000001, 0.1234567, 1e300, "0.1", True, [], 1.5, 1e-300],
        "deadline_s": [0, -1, 1.5, "60", True, 10**9, 3601],
        "on_limit": ["ask", "", 1],
        "metadata": [{"a": 1}, {"": "x"}, {"a" * 41: "x"}, {"a": "x" * 501}, {str(n): "" for n in range(21)}, [], "x"],
        "webhook_url": ["https://example.com/hook", "", "file:///etc/passwd", 7],  # there is no secret to sign with
        "limits": [{}, None],
        "tenant": ["umbrella"],
    }.items(),
)
async def test_what_cannot_be_used_is_refused_by_name(api: Api, field: str, values: list[Any]) -> None:
    async with api.client() as client:
        for value in values:
            told = problem(await ordered(client, **{field: value}), "invalid")
            named = [each.field for each in told.errors or []] or [told.detail]
            assert any(field.partition("_")[0] in each for each in named), told
        assert (await client.get("/v1/jobs")).json()["items"] == []


async def test_numbers_that_json_does_not_have_are_refused(api: Api) -> None:
    async with api.client() as client:
        for number in ("NaN", "Infinity", "-Infinity", "1e999"):
            body = f'{{"question": "{QUESTION}", "budget_usd": {number}}}'
            answer = await client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
            problem(answer, "invalid")


async def test_a_secret_in_the_wrong_place_is_not_repeated(api: Api) -> None:
    secret = await api.key()
    async with api.client(secret) as client:
        answers = [
            await ordered(client, **{secret: 1}),
            await ordered(client, on_limit=secret),
            await ordered(client, metadata={secret * 2: "x"}),
            await client.get("/v1/jobs", params={"cursor": secret}),
            await client.get("/v1/jobs", params={"status": secret}),
            await client.get(f"/v1/jobs/{secret}"),
        ]
    for answer in answers:
        assert answer.status_code in {404, 422}
        assert secret[:20] not in answer.text


# -- once per key --


async def test_a_repetition_gets_the_first_job(api: Api) -> None:
    key = {"Idempotency-Key": "order-1"}
    async with api.client() as client:
        first = await client.post("/v1/jobs", json={"question": QUESTION, "budget_usd": 0.1}, headers=key)
        same = await client.post("/v1/jobs", json={"budget_usd": 0.10, "question": QUESTION}, headers=key)
        other = await client.post("/v1/jobs", json={"question": QUESTION, "budget_usd": 0.2}, headers=key)
        listed = (await client.get("/v1/jobs")).json()["items"]
    assert "idempotency-replayed" not in first.headers
    assert (same.status_code, same.headers["idempotency-replayed"], same.json()) == (202, "true", first.json())
    problem(other, "idempotency-key-reused")
    assert [each["id"] for each in listed] == [first.json()["id"]]


async def test_the_same_key_of_another_tenant_is_another_key(api: Api) -> None:
    jobs = set()
    for tenant in ("acme", "umbrella"):
        async with api.client(await api.key(tenant=tenant)) as client:
            answer = await client.post("/v1/jobs", json={"question": QUESTION}, headers={"Idempotency-Key": "k"})
            jobs.add(answer.json()["id"])
    assert len(jobs) == 2


async def test_of_many_at_once_one_job_is_made(api: Api) -> None:
    async with api.client() as client:
        key = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(
            *(client.post("/v1/jobs", json={"question": QUESTION}, headers=key) for _ in range(20))
        )
        metrics = (await client.get("/metrics")).text
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
    assert len(await api.service.registry.listed("local", None, 100)) == 1
    assert "tollgate_jobs_accepted_total 1.0" in metrics


async def test_a_tenant_whose_queue_is_full_is_told_when_to_come_again(settings: Settings, redis_url: str) -> None:
    async with (
        api_over(settings, redis_url, tenant_queue=2) as api,
        api.client(await api.key()) as client,
        api.client(await api.key(tenant="other")) as other,
    ):
        for expected in (202, 202, 429):
            answer = await ordered(client)
            assert answer.status_code == expected
        problem(answer, "queue-full")
        assert answer.headers["retry-after"] == "30"
        assert len((await client.get("/v1/jobs")).json()["items"]) == 2
        assert (await ordered(other)).status_code == 202


async def test_a_key_that_is_none_is_refused(api: Api) -> None:
    async with api.client() as client:
        for key in (b"", b"x" * 201, b"a b", b"\xe9"):
            answer = await client.post("/v1/jobs", json={"question": QUESTION}, headers={b"Idempotency-Key": key})
            problem(answer, "invalid")


# -- pages --


@settings(max_examples=at_most(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 7), min_size=12, max_size=12),
    arrivals=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    before=st.integers(0, 12),
)
async def test_pages_together_are_all_jobs_once(api: Api, sizes: list[int], arrivals: list[int], before: int) -> None:
    await api.service.client.flushall()
    async with api.client() as client:
        there = {(await ordered(client)).json()["id"] for _ in range(before)}
        got: list[str] = []
        cursor: dict[str, str] = {}
        for size, arriving in zip(sizes, arrivals, strict=True):
            page = (await client.get("/v1/jobs", params={"limit": size, **cursor})).json()
            got += [each["id"] for each in page["items"]]
            assert len(page["items"]) <= size
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
            for _ in range(arriving):  # newer ones change nothing of the older
                await ordered(client)
        else:
            return
        assert there <= set(got)
        assert got == sorted(set(got), reverse=True)


async def test_a_list_can_be_of_one_status(api: Api) -> None:
    async with api.client(await api.key()) as client:
        queued = [(await ordered(client)).json()["id"] for _ in range(3)]
        dead = await api.dead()
        listed = {
            status: (await client.get("/v1/jobs", params={"status": status})).json() for status in ("dead", "queued")
        }
    assert [each["id"] for each in listed["dead"]["items"]] == [dead]
    assert [each["id"] for each in listed["queued"]["items"]] == sorted(queued, reverse=True)


async def test_a_list_can_be_of_one_behaviour_version(api: Api) -> None:
    async with api.client(await api.key()) as client:
        now, then = [(await ordered(client)).json() for _ in range(2)]
        assert now["behaviour_version"] == then["behaviour_version"] == api.service.jobs.behaviour_version
        await api.service.records.write(then["id"], {"behaviour_version": "of-before"})
        for job, version in ((now, now["behaviour_version"]), (then, "of-before")):
            listed = (await client.get("/v1/jobs", params={"behaviour_version": version})).json()["items"]
            assert [(each["id"], each["behaviour_version"]) for each in listed] == [(job["id"], version)]


async def test_a_page_that_cannot_be_is_refused(api: Api) -> None:
    async with api.client() as client:
        for asked in (
            {"limit": 0},
            {"limit": 101},
            {"limit": "x"},
            {"status": "lost"},
            {"cursor": "x"},
            {"cursor": "LQ"},
        ):
            problem(await client.get("/v1/jobs", params=asked), "invalid")


# -- cancelling, the dead --


async def test_a_job_can_be_cancelled(api: Api) -> None:
    async with api.client() as client:
        job = (await ordered(client)).json()
        answer = await client.post(job["links"]["cancel"])
        assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
        await api.service.records.write(job["id"], {"status": "cancelled"})
        problem(await client.post(job["links"]["cancel"]), "conflict")


async def test_a_key_without_the_scope_cancels_what_was_ordered_with_it_and_nothing_else(api: Api) -> None:
    own, other = await api.key(Scope.SUBMIT), await api.key(Scope.SUBMIT)
    async with api.client(own) as mine, api.client(other) as theirs, api.client(await api.key(Scope.CANCEL)) as any_of:
        jobs = [(await ordered(mine)).json() for _ in range(2)]
        assert "cancel" in problem(await theirs.post(jobs[0]["links"]["cancel"]), "forbidden").detail
        assert (await api.service.get("acme", jobs[0]["id"])).cancel_at is None
        for client, job in zip((mine, any_of), jobs, strict=True):
            answer = await client.post(job["links"]["cancel"])
            assert (answer.status_code, answer.json()) == (202, {"id": job["id"], "links": job["links"]})


async def test_no_answer_tells_more_than_the_key_may_read(api: Api) -> None:
    """Nor does a repeated order, whose job may have findings by now, or the taking care of a dead letter."""
    same: dict[str, Any] = {"json": {"question": QUESTION}, "headers": {"Idempotency-Key": "monday"}}
    async with api.client(await api.key()) as reader, api.client(await api.key(Scope.SUBMIT, Scope.ADMIN)) as client:
        await reader.post("/v1/jobs", **same)
        answers = [await client.post("/v1/jobs", **same)]
        answers += [await client.post(f"/v1/dead-letters/{await api.dead()}/{what}") for what in ("requeue", "discard")]
    assert [each.is_success and set(each.json()) for each in answers] == [{"id", "links"}] * 3


async def test_a_thousand_dead_letters_of_another_tenant_hide_none(api: Api) -> None:
    mine, older = await api.dead(), await api.dead()
    await api.service.client.zrem("tollgate:{jobs}:dead:acme", older)  # as an older version left it
    others = [f"job-9-{number}" for number in range(1001)]  # first also of those of one millisecond
    for job_id in others:
        await api.service.registry.bury("umbrella", job_id)
    assert [each.job_id for each in await api.service.dead("acme")] == [mine]
    await api.service.registry.unbury("acme", mine)
    for job_id in others:
        await api.service.registry.unbury("umbrella", job_id)
    assert [each.job_id for each in await api.service.dead("acme")] == [older]
    assert (await api.service.sizes())["dead_letters"] == 1


async def test_dead_letters_are_listed_and_taken_care_of(api: Api) -> None:
    async with api.client(await api.key()) as client:
        first, second = await api.dead(), await api.dead()
        await api.dead("umbrella")
        listed = (await client.get("/v1/dead-letters")).json()["items"]
        assert {each["id"] for each in listed} == {first, second}
        assert {(each["attempts"], each["last_error"]) for each in listed} == {(3, "it broke")}
        requeued = await client.post(f"/v1/dead-letters/{first}/requeue")
        assert (requeued.status_code, requeued.json()["status"]) == (202, "queued")
        discarded = await client.post(f"/v1/dead-letters/{second}/discard")
        assert (discarded.status_code, discarded.json()["status"]) == (200, "failed")
        assert (await client.get("/v1/dead-letters")).json()["items"] == []
        problem(await client.post(f"/v1/dead-letters/{first}/discard"), "conflict")
