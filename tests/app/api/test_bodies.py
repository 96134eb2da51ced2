"""Bodies of all kinds: whatever is sent, the answer is a good one."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.limits import BODY_BYTES
from app.config.settings import Settings
from tests.app.api.in_process import QUESTION, Api, api_over
from tests.app.api.test_conformance import problem
from tests.examples import at_most

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["question", "budget_usd", "deadline_s", "on_limit", "webhook_url", "metadata", "action", "amount_usd", "note"]
BODY = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(QUESTION) | st.just("abort"), max_size=6)


class Shared:
    """One API for all examples of a property, in a loop of its own."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self.runner = asyncio.Runner()
        self.opening = api_over(settings, redis_url)
        self.api = self.runner.run(self.opening.__aenter__())
        self.job = self.runner.run(self.api.dead("local"))

    def ask(self, path: str, content: bytes, kind: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with self.api.client() as client:
                headers = {"Content-Type": kind} if kind else {}
                return await client.post(path.replace("{job}", self.job), content=content, headers=headers)

        return self.runner.run(asked())

    def close(self) -> None:
        self.runner.run(self.opening.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture
def shared(settings: Settings, redis_url: str) -> Iterator[Shared]:
    shared = Shared(settings, redis_url)
    yield shared
    shared.close()


@settings(max_examples=at_most(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODY, path=st.sampled_from(["/v1/jobs", "/v1/jobs/{job}/decision"]))
def test_no_json_breaks_it(shared: Shared, body: Any, path: str) -> None:
    answer = shared.ask(path, json.dumps(body).encode("utf-8", "surrogatepass"), "application/json")
    assert answer.status_code in {202, 409, 422}


@settings(max_examples=at_most(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "text/plain", "", "application/x+json"]))
def test_no_bytes_break_it(shared: Shared, body: bytes, kind: str) -> None:
    assert shared.ask("/v1/jobs", body, kind).status_code in {400, 415, 422}


async def test_deep_huge_and_strange_json(api: Api) -> None:
    deep = b"[" * 30_000 + b"]" * 30_000
    strange = [
        deep,
        b'{"question": "\\ud800\\ud800\\ud800"}',
        b"\xff\xfe{",
        b"1" * 60_000,
        b'{"a":' * 9_000,
        b"",
        b"null",
    ]
    async with api.client() as client:
        for body in strange:
            answer = await client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}, body[:20]
            problem(answer, "invalid" if answer.status_code == 422 else "bad-request")


async def test_other_content_types_are_refused(api: Api) -> None:
    body = json.dumps({"question": QUESTION}).encode()
    async with api.client() as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x", ""):
            headers = {"Content-Type": kind} if kind else {}
            answer = await client.post("/v1/jobs", content=body, headers=headers)
            problem(answer, "unsupported-media-type")


# -- how large --


async def test_a_body_that_says_it_is_too_large_is_not_read(api: Api) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"x" * (BODY_BYTES + 1)

    async with api.client() as client:
        for size in (str(BODY_BYTES + 1), "9" * 5000):
            answer = await client.post("/v1/jobs", content=body(), headers={"Content-Length": size})
            problem(answer, "too-large")
    assert read <= 2  # the transport takes the first piece before it calls


async def test_a_body_in_pieces_is_refused_as_soon_as_it_is_too_large(api: Api) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    async with api.client() as client:
        answer = await client.post("/v1/jobs", content=body(), headers={"Content-Type": "application/json"})
    problem(answer, "too-large")
    assert sent <= BODY_BYTES // 1024 + 2


async def test_a_body_of_the_largest_size_is_read(api: Api) -> None:
    body = json.dumps({"question": QUESTION}).encode()
    async with api.client() as client:
        answer = await client.post(
            "/v1/jobs", content=body.ljust(BODY_BYTES), headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 202


async def test_no_body_is_read_for_a_stranger(api: Api) -> None:
    await api.key()
    async with api.client() as client:
        answer = await client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    problem(answer, "unauthorized")
