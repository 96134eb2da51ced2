"""A record holds no secret, no more than allowed, and nothing of a process that has lost its job."""

import json

import pytest
from redis.asyncio import Redis

from app.errors import BadInput
from app.recording.cassette import Cassette
from app.recording.recorder import LINE_BYTES, RECORD_BYTES, Recorder, record_of
from graphs.clock import utc_now
from graphs.errors import Fenced
from graphs.redis.fencing import lease_key
from graphs.spending.limits import Limits
from graphs.spending.spend import Account
from graphs.state import Json

JOB = "job-20260101-000000-0a1b2c3d4e"
SECRET = "a-password-of-the-database"
ACCOUNT = Account(JOB, "acme", "sales", Limits(), utc_now(), 1, task="T1")


def said(*texts: str, **more: object) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": each} for each in texts], **more}


async def stored(client: Redis) -> list[Json]:
    return [line for _, line in await record_of(client, JOB)]


@pytest.fixture
def recorder(redis_client: Redis) -> Recorder:
    recorder = Recorder(redis_client, ttl_seconds=600, secrets=[SECRET])
    recorder.begin(JOB, 1, {"kind": "run", "at": utc_now().isoformat()})
    return recorder


async def test_what_is_kept_has_no_secret_and_repeats_nothing(recorder: Recorder, redis_client: Redis) -> None:
    requests = [
        said("You are sales.", f"Use {SECRET}.", tools=["x" * 500]),
        said("You are sales.", f"Use {SECRET}.", "and?", tools=["x" * 500]),
        said("You are sales.", "and call +41 44 668 18 00"),
    ]
    for each in requests:
        recorder.asked(ACCOUNT, {"kind": "model", "agent": "sales", "task": "T1", "at": utc_now().isoformat()}, each)
    await recorder.flush(JOB)
    lines = await stored(redis_client)
    text = json.dumps(lines)
    assert SECRET not in text
    assert "668 18 00" not in text
    assert text.count("x" * 500) == text.count("You are sales.") == 1
    hidden = json.dumps(requests).replace(SECRET, "[secret]").replace("+41 44 668 18 00", "[phone number]")
    assert [each.request for each in Cassette(lines).models["sales", "T1"]] == json.loads(hidden)


async def test_what_is_too_long_is_marked(recorder: Recorder, redis_client: Redis) -> None:
    recorder.asked(ACCOUNT, {"kind": "model", "agent": "sales", "task": "T1"}, said("x" * (LINE_BYTES + 1)))
    recorder.asked(ACCOUNT, {"kind": "model", "agent": "sales", "task": "T1"}, said("y"))
    await recorder.flush(JOB)
    _, cut, whole = await stored(redis_client)
    assert cut["cut"].startswith("this exchange had ")
    assert "request" not in cut
    assert whole["request"] == said("y")
    assert (
        Cassette(await stored(redis_client)).incomplete[0]
        == "a model exchange of T1 of sales was too long and is left out"
    )

    for _ in range(RECORD_BYTES // LINE_BYTES + 2):
        recorder.note(JOB, {"kind": "tool", "text": "z" * (LINE_BYTES - 1000)})
        await recorder.flush(JOB)
    lines = await stored(redis_client)
    assert [each["kind"] for each in lines].index("full") == len(lines) - 1
    assert "the record was full" in Cassette([each for each in lines if each["kind"] != "tool"]).incomplete


async def test_a_process_that_lost_the_job_records_nothing_more(recorder: Recorder, redis_client: Redis) -> None:
    await recorder.flush(JOB)
    await redis_client.hset(lease_key(JOB), "token", 2)
    await redis_client.expire(lease_key(JOB), 600)
    recorder.note(JOB, {"kind": "ended"})
    with pytest.raises(Fenced):
        await recorder.flush(JOB)
    assert [each["kind"] for each in await stored(redis_client)] == ["run"]
    recorder.forget(JOB)
    assert recorder.note(JOB, {"kind": "ended"}) is None


async def test_a_record_is_read_in_pages(recorder: Recorder, redis_client: Redis) -> None:
    for _ in range(4):
        recorder.note(JOB, {"kind": "ended"})
    await recorder.flush(JOB)
    pages, after = [], "0"
    while page := await record_of(redis_client, JOB, after, most=2):
        pages.append(len(page))
        after = page[-1][0]
    assert pages == [2, 2, 1]
    with pytest.raises(BadInput, match="is not a place in a record"):
        await record_of(redis_client, JOB, "yesterday")
