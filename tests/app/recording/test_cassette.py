"""A recorded job in a file answers in a place that has nothing else; and says what it has no answer to."""

import json
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.errors import BadInput
from app.observing.redaction import Redaction
from app.recording.cassette import Cassette
from app.running.processes import Addresses, services
from app.running.runtime import opened
from app.stand_in.server import build
from app.stand_in.tape import Tape
from tests.app.recording.recorded_jobs import SHORT, ran, recording
from tests.http_server import served
from tests.scripted_model import REPORT, Answer, Json, Script, assign, quoting, revenue, serving, task


def decision(packet: Json, _: list[Json]) -> Answer:
    return REPORT if packet["tasks"] else assign(task(1, "sales"))


def read(path: str | None) -> str:
    assert path
    return Path(path).read_text(encoding="utf-8")


@pytest.fixture
async def file(settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, tmp_path: Path) -> Path:
    """A job that was answered by a model that is gone."""
    with serving(Script(decision, revenue, quoting)) as url:
        async with recording(settings, redis_url, addresses, url) as jobs:
            cassette = await ran(jobs, settings, redis_url)
    assert cassette.end["status"] == "completed"
    path = tmp_path / "job.jsonl"
    path.write_text(cassette.written(Redaction()), encoding="utf-8")
    return path


async def test_a_job_is_answered_where_there_is_nothing_but_its_cassette(file: Path, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "elsewhere", cassette=file, OPENAI_API_KEY="sk-not-called")
    with services(settings) as (redis_url, addresses):
        assert addresses.servers == {}
        async with opened(settings, redis_url, addresses, lambda _: None) as jobs:
            told: list[str] = []
            for question in (SHORT, SHORT, "What was our profit in 2024?"):
                job_id = await jobs.create(question, settings.limits)
                result = await jobs.run(job_id, lambda _: None)
                if question == SHORT:
                    told.append(read(result.report_path).replace(job_id, "JOB"))
    recorded = Cassette.of_file(file)
    assert told == [recorded.end["report"].replace(recorded.job["job_id"], "JOB")] * 2
    assert (result.status, result.stop_reason) == ("awaiting_human", "model_refused")
    log = (settings.data_dir / "logs" / "stand_in_model.log").read_text(encoding="utf-8")
    assert "not in the cassette; nearest is" in log
    assert "What was our profit in 2024?" in log


def test_the_stand_in_tells_what_differs_from_the_nearest_request(file: Path) -> None:
    cassette = Cassette.of_file(file)
    asked = cassette.models["sales", "T1"][1]
    assert asked.request
    otherwise = json.loads(json.dumps(asked.request))
    answered, result = otherwise["messages"][-2:]
    answered["tool_calls"][0]["id"] = result["tool_call_id"] = "another-id"
    mark = result["content"].split("<data-")[1][:8]
    result["content"] = result["content"].replace(mark, "0badcafe").replace(f"\n{mark[:4]}| ", "\n0bad| ")
    otherwise["max_tokens"] += 7
    with served(build(tape=Tape(cassette))) as url:
        same = httpx.post(f"{url}/v1/chat/completions", json=otherwise)
        assert (same.status_code, same.json()) == (200, asked.line["response"])
        result["content"] = result["content"].replace("2024", "2031")
        unknown = httpx.post(f"{url}/v1/chat/completions", json=otherwise)
        nonsense = httpx.post(f"{url}/v1/chat/completions", content=b"[]")
    assert unknown.status_code == 404
    message = unknown.json()["error"]["message"]
    assert message.startswith(f"not in the cassette; nearest is {asked.line['id']} (T1 of sales): message 6 (tool):")
    assert "2031" in message
    assert nonsense.status_code == 400


def test_a_file_that_is_no_cassette_is_refused(tmp_path: Path, file: Path) -> None:
    for text, said in (("nonsense", "line 1 is no line"), ('{"kind": "run"}', "does not begin"), ("[1]", "line 1")):
        (tmp_path / "bad.jsonl").write_text(text)
        with pytest.raises(BadInput, match=said):
            Cassette.of_file(tmp_path / "bad.jsonl")
    with pytest.raises(BadInput, match="cannot be read"):
        Cassette.of_file(tmp_path / "none.jsonl")


def model(line_id: str, said: str, **more: object) -> Json:
    request = {"model": "m", "messages": [{"role": "user", "content": said}]}
    at = {"at": "2026-01-01T00:00:00+00:00", "seconds": 1}
    return {"kind": "model", "id": line_id, "agent": "sales", "task": "T1", **at, "request": request, **more}


def test_what_a_process_that_died_had_asked_is_not_asked_again() -> None:
    """Another run asked it anew; and the record says that something may be missing."""
    run = {"kind": "run", "at": "2026-01-01T00:00:00+00:00"}
    refused = {"type": "DayUsedUp", "message": "no money today"}
    lines = [
        {**run, "id": "1.1"},
        model("1.2", "first"),
        model("1.3", "second"),
        model("1.3", "second"),  # sent twice by a client whose connection broke
        {**model("1.4", ""), "request": None, "error": refused},
        {**run, "id": "2.1"},
        model("2.2", "second"),
        model("2.3", "third"),
        {"kind": "ended", "id": "2.4"},
    ]
    cassette = Cassette(lines)
    assert [each.line["id"] for each in cassette.models["sales", "T1"]] == ["1.2", "2.2", "2.3"]
    assert cassette.incomplete == ["a process died, and what it was doing is missing"]
