"""What holds for every route, read from the OpenAPI document: a route that is added has it too, or a test fails."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.access.keys import Scope
from app.api import create_app
from app.api.problems import KINDS, MEDIA_TYPE, Problem
from app.config.settings import Settings
from tests.app.api.in_process import QUESTION, Api
from tests.app.reports.test_page import Seen

UNKNOWN_JOB = "job-20261121-101500-0a1b2c3d4e"
UNKNOWN_BUDGET = f"budget-{'0' * 32}"
BODIES: dict[str, Any] = {
    "/v1/budgets": {"budget_usd": 0.5},
    "/v1/jobs": {"question": QUESTION},
    "/v1/jobs/{job_id}/decision": {"action": "abort"},
    "/v1/spend/limits": {"limit_usd": 10},
}
HOSTILE_IDS = [
    "x", "job-1", f"{UNKNOWN_JOB}%0a", f"{UNKNOWN_JOB}0f9", UNKNOWN_JOB.upper(), "%00", "%F0%9F%92%A9", "*", "a" * 5000,
    UNKNOWN_JOB.replace("2026", "\u0662\u0660\u0662\u0666"), "{job}", "..%2f..%2fv1", "tollgate:%7Bjobs%7D:dead",
]  # fmt: skip
NEEDED = {
    ("POST", "/v1/jobs"): Scope.SUBMIT,
    ("GET", "/v1/jobs"): Scope.READ,
    ("GET", "/v1/jobs/{job_id}"): Scope.READ,
    ("DELETE", "/v1/jobs/{job_id}"): Scope.DELETE,
    ("GET", "/v1/jobs/{job_id}/events"): Scope.READ,
    ("GET", "/v1/jobs/{job_id}/report"): Scope.READ,
    ("GET", "/v1/jobs/{job_id}/trace"): Scope.READ,
    ("GET", "/v1/jobs/{job_id}/record"): Scope.READ,
    ("GET", "/v1/spend"): Scope.READ,
    ("POST", "/v1/budgets"): Scope.SUBMIT,
    ("GET", "/v1/budgets/{budget_id}"): Scope.READ,
    ("POST", "/v1/jobs/{job_id}/decision"): Scope.DECIDE,
    ("POST", "/v1/jobs/{job_id}/cancel"): Scope.CANCEL,
    ("POST", "/v1/spend/limits"): Scope.ADMIN,
    ("GET", "/v1/dead-letters"): Scope.ADMIN,
    ("POST", "/v1/dead-letters/{job_id}/requeue"): Scope.ADMIN,
    ("POST", "/v1/dead-letters/{job_id}/discard"): Scope.ADMIN,
    ("GET", "/v1/audit"): Scope.ADMIN,
    ("GET", "/metrics"): Scope.ADMIN,
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/problems/{slug}")}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    operation: dict[str, Any]

    @property
    def name(self) -> tuple[str, str]:
        return self.method, self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    async def ask(self, client: httpx.AsyncClient, job_id: str = UNKNOWN_JOB, **more: Any) -> httpx.Response:
        path = self.path.replace("{job_id}", job_id).replace("{slug}", "no-report")
        path = path.replace("{budget_id}", UNKNOWN_BUDGET)
        return await client.request(self.method, path, json=BODIES.get(self.path), **more)


def of(app: FastAPI) -> Iterator[Route]:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            yield Route(method.upper(), path, operation)


def document() -> FastAPI:
    settings = Settings(_env_file=None)
    return create_app(settings, None, loopback=True, registry=CollectorRegistry())  # type: ignore[arg-type]


ROUTES = list(of(document()))
GUARDED = [route for route in ROUTES if route.name not in OPEN]
OF_A_JOB = [route for route in GUARDED if "{job_id}" in route.path]


def problem(response: httpx.Response, slug: str) -> Problem:
    """The problem document, which has to be right in all that goes without saying."""
    told = Problem.model_validate(response.json(), strict=True)
    assert (response.status_code, told.type) == (KINDS[slug].status, f"/problems/{slug}")
    assert (told.status, told.title) == (KINDS[slug].status, KINDS[slug].title)
    assert response.headers["content-type"] == MEDIA_TYPE
    assert told.request_id == response.headers["x-request-id"]
    return told


def test_every_route_has_its_place_in_these_tests() -> None:
    assert {route.name for route in ROUTES} == set(NEEDED) | OPEN


async def test_without_a_key_nothing_is_told(api: Api, subtests: pytest.Subtests) -> None:
    for route in GUARDED:
        with subtests.test(str(route)):
            await api.key()
            async with api.client() as client:
                answer = await route.ask(client)
            problem(answer, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_key_is_refused_also_while_there_is_none(api: Api, subtests: pytest.Subtests) -> None:
    for route in GUARDED:
        with subtests.test(str(route)):
            async with api.client() as client:
                for bad in ("Bearer tg_x", "Basic dXNlcjpwYXNz", "Bearer", "", "bearer  ", "Bearer \u00e9"):
                    problem(await route.ask(client, headers={"Authorization": bad.encode("latin-1")}), "unauthorized")


async def test_a_revoked_key_is_refused(api: Api, subtests: pytest.Subtests) -> None:
    for route in GUARDED:
        with subtests.test(str(route)):
            await api.key()
            new = await api.backend.keys.create("acme", list(Scope))
            await api.backend.keys.revoke(new.key.id)
            async with api.client(new.secret) as client:
                problem(await route.ask(client), "unauthorized")


async def test_the_right_scope_is_needed_and_enough(api: Api, subtests: pytest.Subtests) -> None:
    for route in GUARDED:
        with subtests.test(str(route)):
            needed = NEEDED[route.name]
            instead = {Scope.SUBMIT} if needed is Scope.CANCEL else set()  # for the key's own jobs
            async with api.client(await api.key(*(set(Scope) - {needed} - instead))) as client:
                assert str(needed) in problem(await route.ask(client), "forbidden").detail
            async with api.client(await api.key(needed)) as client:
                assert (await route.ask(client)).status_code not in {401, 403}


async def test_a_job_of_another_tenant_is_not_there(api: Api, subtests: pytest.Subtests) -> None:
    for route in OF_A_JOB:
        with subtests.test(str(route)):
            job_id = await api.dead("umbrella")
            async with api.client(await api.key(tenant="acme")) as client:
                other, none = await route.ask(client, job_id), await route.ask(client, UNKNOWN_JOB)
            assert problem(other, "no-such-job").detail == problem(none, "no-such-job").detail.replace(
                UNKNOWN_JOB, job_id
            )
            assert (await api.service.records.get(job_id)).status == "dead"


async def test_what_can_be_no_id_is_not_looked_up(api: Api, subtests: pytest.Subtests) -> None:
    for route in OF_A_JOB:
        with subtests.test(str(route)):
            async with api.client() as client:
                await api.service.client.config_resetstat()
                for job_id in HOSTILE_IDS:
                    answer = await route.ask(client, job_id)
                    problem(answer, "not-found" if "%2f" in job_id else "no-such-job")
                looked_up = await api.service.client.info("commandstats")
            assert "cmdstat_hgetall" not in looked_up


async def test_headers_that_every_answer_has(api: Api, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            async with api.client() as client:
                answer = await route.ask(client, headers={"X-Request-ID": "trace-7"})
            assert answer.headers["x-request-id"] == "trace-7"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            if route.path.startswith("/v1"):
                assert answer.headers["cache-control"] == "no-store"
            if route in GUARDED:
                assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(answer.headers)


async def test_another_method_is_refused_with_those_that_there_are(api: Api, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            async with api.client() as client:
                answer = await client.request("PATCH", route.path.replace("{job_id}", UNKNOWN_JOB))
            problem(answer, "method-not-allowed")
            assert set(answer.headers["allow"].split(", ")) == {
                each.method for each in ROUTES if each.path == route.path
            }


def test_every_error_is_documented_as_a_problem(subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            errors = {status: told for status, told in route.operation["responses"].items() if status >= "400"}
            assert all(set(told["content"]) == {MEDIA_TYPE} for told in errors.values())
            if route in GUARDED:
                assert {"401", "403", "421", "429", "500", "503"} <= set(errors)
                assert route.operation["security"]


async def test_the_docs_tell_all_routes_and_need_nothing_from_elsewhere(api: Api) -> None:
    async with api.client() as client:
        answer = await client.get("/docs")
    seen = Seen(answer.text)
    for route in ROUTES:
        assert f"<code>{route.method} {route.path}</code>" in answer.text
    schemas = {f"#{name}" for name in api.app.openapi()["components"]["schemas"]}
    assert {place for _, place in seen.references} <= schemas | {"/openapi.json"}
    assert seen.tags.isdisjoint({"script", "img", "link", "iframe"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


async def test_every_kind_of_problem_has_a_line_of_text(api: Api) -> None:
    async with api.client() as client:
        for slug, kind in KINDS.items():
            answer = await client.get(f"/problems/{slug}")
            assert answer.text == f"{kind.status} {kind.title}: {kind.meaning}\n"
            assert re.fullmatch(r"[a-z-]+", slug)
        problem(await client.get("/problems/none"), "not-found")
