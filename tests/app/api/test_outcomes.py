"""Reports in the form that is asked for, and the answer to each error."""

import asyncio
import threading

import pytest
from redis.exceptions import ConnectionError as NoConnection

from app.api import report_forms
from app.api.outcomes import accepted
from app.api.problems import Refused, refused
from app.errors import (
    BadInput,
    Busy,
    DecisionRefused,
    IdempotencyKeyReused,
    NoSuchJob,
    NotTypeset,
    OperatorMustAct,
    TooLate,
)
from app.jobs.kept import Reported
from app.recording.recorder import Recorder
from graphs.errors import LedgerUnavailable
from tests.app.api.in_process import QUESTION, Api
from tests.app.api.test_conformance import problem
from tests.app.reports.made import reported


@pytest.mark.parametrize(
    ("accept", "form"),
    {
        "*/*": "md",
        "text/html,application/xhtml+xml,*/*;q=0.8": "html",  # a browser
        "application/json": "json",
        "APPLICATION/JSON ; Q=1": "json",
        "text/html;q=0.1, application/json;q=0.9": "json",
        "text/html;q=0, */*": "md",
        "application/pdf, text/*;q=0.1": "pdf",
        "image/png, text/*;q=0.1": "md",
    }.items(),
)
def test_the_form_that_is_liked_best_is_made(accept: str, form: str) -> None:
    assert accepted(accept) == form


@pytest.mark.parametrize("accept", ["image/png", "text/html;q=0", "", ";;,,", "text/html;q=x", "*/*;q=nan"])
def test_what_cannot_be_made_is_not_acceptable(accept: str) -> None:
    with pytest.raises(Refused) as raised:
        accepted(accept)
    assert raised.value.kind.slug == "not-acceptable"


async def test_a_job_without_a_report_says_so(api: Api) -> None:
    async with api.client() as client:
        report = (await client.post("/v1/jobs", json={"question": QUESTION})).json()["links"]["report"]
        assert "queued" in problem(await client.get(report), "no-report").detail
        problem(await client.get(report, params={"format": "png"}), "invalid")
        problem(await client.get(report, headers={"Accept": "image/png"}), "not-acceptable")


async def test_a_page_that_takes_long_to_make_keeps_no_other_request_waiting(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    async def report(_record: object) -> Reported:
        return reported("Report.")

    def page(_document: object) -> str:
        begun.set()
        return "made" if may_end.wait(10) else "too late"

    monkeypatch.setattr(api.service.jobs, "report", report)
    monkeypatch.setattr(report_forms, "page", page)
    async with api.client() as client:
        address = (await client.post("/v1/jobs", json={"question": QUESTION})).json()["links"]["report"]
        reading = asyncio.create_task(client.get(address, params={"format": "html"}))
        await asyncio.to_thread(begun.wait, 10)
        assert (await client.get("/healthz")).status_code == 200
        may_end.set()
        assert (await reading).text == "made"


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (NoSuchJob("job-1"), "no-such-job"),
        (IdempotencyKeyReused("x"), "idempotency-key-reused"),
        (BadInput("x"), "invalid"),
        (TooLate("x"), "too-late"),
        (DecisionRefused("x"), "conflict"),
        (Busy("x"), "conflict"),
        (NotTypeset("x"), "not-acceptable"),
        (NoConnection("redis://user:password@host"), "unavailable"),
        (LedgerUnavailable("redis://user:password@host"), "unavailable"),
        (OperatorMustAct("/home/us/log"), "unavailable"),
        (RuntimeError("password"), "internal"),
    ],
)
def test_each_error_has_its_problem(error: Exception, slug: str) -> None:
    told = refused(error)
    assert told.kind.slug == slug
    if told.kind.status >= 500:
        assert told.detail == told.kind.meaning  # nothing of ours


async def test_a_record_is_read_in_pages(api: Api) -> None:
    recorder = Recorder(api.service.client, ttl_seconds=600)
    async with api.client(await api.key()) as client:
        job = (await client.post("/v1/jobs", json={"question": QUESTION})).json()
        nothing = (await client.get(job["links"]["record"])).json()
        recorder.begin(job["id"], 1, {"kind": "run"})
        recorder.note(job["id"], {"kind": "tool", "text": "write to ada@example.org"})
        recorder.note(job["id"], {"kind": "ended"})
        await recorder.flush(job["id"])
        first = (await client.get(job["links"]["record"], params={"limit": 2})).json()
        last = (await client.get(job["links"]["record"], params={"limit": 2, "after": first["next_after"]})).json()
        problem(await client.get(job["links"]["record"], params={"after": "-5"}), "invalid")
    assert (nothing["lines"], nothing["next_after"], last["next_after"]) == ([], None, None)
    assert [each["data"]["kind"] for each in first["lines"] + last["lines"]] == ["run", "tool", "ended"]
    assert first["lines"][1]["data"]["text"] == "write to [e-mail address]"
