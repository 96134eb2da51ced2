"""The client against servers that misbehave: nothing is done twice, nothing is lost, every failure is one line."""

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from app.client.http_client import Client
from app.client.http_requests import MOST_BYTES, Requests, opened
from app.errors import ApiFailed, ApiRefused, AppError
from tests.examples import at_most
from tests.http_server import served

JOB = {"id": "job-1", "status": "queued", "question": "Q?", "created_at": "", "budget_usd": 0.1, "cost_usd": 0}
ASKED = {**JOB, "status": "awaiting_human", "escalation": {"escalation_id": "first"}}
PROBLEM = {"type": "/problems/unavailable", "detail": "The store does not answer.", "request_id": "r1"}


@contextlib.contextmanager
def client(url: str, patiently_s: float = 10, key: str | None = None) -> Iterator[Client]:
    with opened(url, SecretStr(key) if key else None, lambda _: None) as requests:
        yield Client(requests, patiently_s, following_s=10, pause_s=0)


class Flaky:
    """Answers the first orders and answers with something else."""

    def __init__(self, *instead: Response) -> None:
        self.instead = list(instead)
        self.got: list[tuple[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(ASKED)
        body = await request.json() if await request.body() else None
        self.got.append((request.url.path, body))
        self.keys.append(request.headers.get("idempotency-key"))
        return self.instead.pop(0) if self.instead else JSONResponse(JOB, 202)


def unavailable() -> Response:
    return JSONResponse(PROBLEM, 503, {"Retry-After": "0"}, media_type="application/problem+json")


def too_many(seconds: str) -> Response:
    problem = {"type": "/problems/too-many-requests", "detail": "Wait."}
    return JSONResponse(problem, 429, {"Retry-After": seconds}, media_type="application/problem+json")


def test_an_order_is_repeated_under_its_key() -> None:
    api = Flaky(unavailable(), too_many("1"), PlainTextResponse("bad gateway", 502))
    with served(api.app) as url, client(url) as asking:
        assert asking.submit({"question": "Q?"}, "k").id == "job-1"
    assert api.keys == ["k"] * 4


def test_an_answer_is_repeated_only_for_the_question_that_was_read() -> None:
    api = Flaky(unavailable())
    with served(api.app) as url, client(url) as asking:
        asking.decide("job-1", {"action": "abort"}, None)
    assert api.got == [("/v1/jobs/job-1/decision", {"action": "abort", "escalation_id": "first"})] * 2


def test_an_answer_to_nothing_in_particular_is_sent_once() -> None:
    sent: list[str] = []

    async def answer(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(JOB)
        sent.append(request.url.path)
        return unavailable()

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    with served(app) as url, client(url) as asking, pytest.raises(ApiFailed):
        asking.decide("job-1", {"action": "approve_more", "amount_usd": 0.1}, None)
    assert len(sent) == 1


def test_a_wait_that_is_too_long_is_left_to_the_caller() -> None:
    api = Flaky(too_many("3600"))
    with served(api.app) as url, client(url) as asking, pytest.raises(ApiRefused, match="wait 3600 s"):
        asking.submit({"question": "Q?"}, "k")
    assert len(api.got) == 1


ANSWERS = {
    "no JSON": PlainTextResponse("<html>Welcome</html>"),
    "other JSON": JSONResponse({"hello": "world"}),
    "half of it": PlainTextResponse('{"id": "job-1"', media_type="application/json"),
    "not found, of another server": PlainTextResponse("nothing here", 404),
    "a redirect": RedirectResponse("https://example.org/"),
    "an internal error": JSONResponse({**PROBLEM, "detail": "An error\nof \x1b[31mours"}, 500),
    "a plain 500": PlainTextResponse("oops", 500),
    "unavailable": unavailable(),
    "forbidden": JSONResponse({**PROBLEM, "detail": "this needs a key with the scope read"}, 403),
    "misdirected": JSONResponse({**PROBLEM, "detail": "by a local name"}, 421),
    "too late": JSONResponse({**PROBLEM, "detail": "the time was over"}, 410),
}


def test_what_unpacks_to_more_than_a_report_can_be_is_broken_off() -> None:
    bomb = gzip.compress(b" " * (MOST_BYTES + 1), 1)

    async def answer(request: Request) -> Response:
        return Response(bomb, headers={"content-encoding": "gzip"}, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", answer)])
    with served(app) as url, client(url) as asking, pytest.raises(ApiFailed, match=f"more than {MOST_BYTES} bytes"):
        asking.job("job-1")


def test_an_event_that_is_too_long_is_broken_off() -> None:
    async def long() -> AsyncIterator[bytes]:
        yield b"data: "
        for _ in range(100):
            yield b"x" * 100_000

    async def answer(request: Request) -> Response:
        return StreamingResponse(long(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/{path:path}", answer)])
    with served(app) as url, client(url) as asking, pytest.raises(ApiFailed, match="events that cannot be read"):
        watched(asking)


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_is_answered_is_one_line(name: str) -> None:
    async def answer(request: Request) -> Response:
        return ANSWERS[name]

    app = Starlette(routes=[Route("/{path:path}", answer)])
    with served(app) as url, client(url) as asking:
        for ask in (lambda: asking.job("job-1"), lambda: asking.report("job-1", "md"), lambda: watched(asking)):
            with pytest.raises(AppError) as caught:
                ask()
            assert str(caught.value).isprintable()
            assert isinstance(caught.value, ApiRefused) == (ANSWERS[name].status_code in {403, 410, 421})


def test_whatever_the_way_there_is_one_line() -> None:
    async def answer(request: Request) -> Response:
        return JSONResponse(JOB)

    with served(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        for address, told in {
            url.replace("http:", "https:"): "SSL_CERT_FILE",
            "http://127.0.0.1:1": "tollgate serve",
            "http://name.invalid": "name.invalid",
        }.items():
            with client(address, 0.5) as asking, pytest.raises(ApiFailed, match=told) as caught:
                asking.job("job-1")
            assert str(caught.value).isprintable()


def watched(asking: Client, after: str | None = None) -> list[int]:
    got: list[int] = []
    asking.watch("job-1", lambda event: got.append(event["number"]), after)
    return got


class Log:
    """Serves events from the one after Last-Event-ID on, and breaks off after so many bytes, each time others."""

    def __init__(self, events: list[dict[str, Any]], cuts: list[int]) -> None:
        self.frames = [
            f"id: {number}-1\nevent: x\ndata: {json.dumps(each, ensure_ascii=False)}\n\n".encode()
            for number, each in enumerate(events)
        ]
        self.cuts = iter(cuts)
        self.app = Starlette(routes=[Route("/v1/jobs/job-1/events", self.answer)])

    async def answer(self, request: Request) -> Response:
        last = request.headers.get("last-event-id")
        sent = b"retry: 2000\n\n" + b"".join(self.frames[int(last.partition("-")[0]) + 1 if last else 0 :])
        cut = next(self.cuts, None)

        async def body() -> AsyncIterator[bytes]:
            yield sent if cut is None else sent[:cut]

        return StreamingResponse(body(), media_type="text/event-stream")


@settings(max_examples=at_most(40))
@given(st.lists(st.text(), max_size=6), st.lists(st.integers(0, 300), max_size=5))
def test_events_are_read_once_over_connections_that_break_anywhere(texts: list[str], cuts: list[int]) -> None:
    texts = [each.encode(errors="replace").decode() for each in [*texts, "a\u2028b\u0085c"]]
    told: list[dict[str, Any]] = [{"type": "x", "number": n, "text": each} for n, each in enumerate(texts)]
    told.append({"type": "job", "status": "completed", "number": len(texts)})
    got: list[dict[str, Any]] = []
    with served(Log(told, cuts).app) as url, client(url) as asking:
        assert asking.watch("job-1", got.append) == "completed"
    assert got == told


def test_an_ended_job_that_went_on_is_read_to_its_end() -> None:
    statuses = ["running", "dead", "queued", "completed"]
    told = [{"type": "job", "status": each, "number": n} for n, each in enumerate(statuses)]
    with served(Log(told, []).app) as url, client(url) as asking:
        assert watched(asking) == [0, 1, 2, 3]


@given(st.text(min_size=1))
def test_a_job_id_stays_one_part_of_the_path(job_id: str) -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(JOB).encode()))

    with httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(answer)) as http:
        Client(Requests(http, lambda _: None)).job(job_id)
    assert paths[0].count("/") == 3 or job_id in {".", ".."}


def test_a_list_of_one_status_goes_on_to_the_pages_where_it_is() -> None:
    """A page looks at so many jobs, and may have found none of them in that state."""
    pages = {None: ([], "a"), "a": ([JOB], "b"), "b": ([JOB, JOB], "c"), "c": ([JOB], None)}
    asked: list[str | None] = []

    async def listed(request: Request) -> Response:
        asked.append(request.query_params.get("cursor"))
        items, cursor = pages[asked[-1]]
        return JSONResponse({"items": items, "next_cursor": cursor})

    with served(Starlette(routes=[Route("/v1/jobs", listed)])) as url, client(url) as api:
        assert len(api.jobs("queued", 2)) == 2
        assert asked == [None, "a", "b"]
        assert len(api.jobs("queued", 100)) == 4
