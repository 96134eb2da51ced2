"""A webhook is signed, sent once per attempt and never to a private place; its failure says whether to try again."""

import asyncio
import base64
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from app.config.settings import Settings
from app.errors import BadInput, WebhookFailed, WebhookRefused
from app.work.webhooks import BODY_BYTES, Webhooks, checked_webhook_url, delay
from graphs.state import Json
from safe_http.public import client
from tests.raw_server import Answer, Names, RawServer, Wire, raw_server, status

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ID, KIND = "job-1/completed", "job.completed"
DATA: Json = {"job_id": "job-1", "cost_usd": 0.012, "said": "ü €"}


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    async with client(True, 5) as http:
        yield Webhooks(http, SecretStr(SECRET))


async def failure(answer: Answer, now: datetime = NOON) -> WebhookFailed | WebhookRefused:
    """What an attempt raises at a server that answers so."""
    async with raw_server(answer) as server, client(True, 5) as http:
        with pytest.raises((WebhookFailed, WebhookRefused)) as error:
            await Webhooks(http, SecretStr(SECRET), now=lambda: now).send(server.url, ID, KIND, DATA)
    raised: WebhookFailed | WebhookRefused = error.value  # type: ignore[assignment]  # pytest knows their base
    return raised


# -- what is sent --


async def test_the_receiver_can_verify_what_it_gets(webhooks: Webhooks) -> None:
    async with raw_server(status("204 No Content")) as server:
        await webhooks.send(f"{server.url}/hook?for=me", ID, KIND, DATA, at=NOON)
    [got] = server.received
    assert got.head[0] == "POST /hook?for=me HTTP/1.1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == ID
    document = Webhook(SECRET).verify(got.body, got.headers)
    assert document == {"type": KIND, "timestamp": "2026-11-21T12:00:00+00:00", "data": DATA}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.replace(b"0.012", b"0.013"), got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body, {**got.headers, "webhook-id": "job-2"})


async def test_each_attempt_is_signed_anew_under_the_same_id() -> None:
    clock = iter([NOON, NOON + timedelta(hours=1)])
    async with raw_server(status("200 OK")) as server, client(True, 5) as http:
        sending = Webhooks(http, SecretStr(SECRET), now=lambda: next(clock))
        for _ in range(2):
            await sending.send(server.url, ID, KIND, DATA, at=NOON)
    first, second = (each.headers for each in server.received)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert first["webhook-signature"] != second["webhook-signature"]
    assert server.received[0].body == server.received[1].body


# -- what the answer means --


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_any_success_will_do(webhooks: Webhooks, code: int) -> None:
    async with raw_server(status(f"{code} Fine")) as server:
        await webhooks.send(server.url, ID, KIND, DATA)
    assert len(server.received) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 410, 413, 422, 451, 499])
async def test_a_receiver_that_does_not_want_it_is_left_alone(code: int) -> None:
    error = await failure(status(f"{code} No", retry_after="5"))
    assert isinstance(error, WebhookRefused)
    assert str(error) == f"127.0.0.1 answered {code} No"


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 504, 599])
async def test_a_receiver_that_cannot_take_it_now_is_asked_again(code: int) -> None:
    error = await failure(status(f"{code} Later"))
    assert isinstance(error, WebhookFailed)
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 400, 3600),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 13:00:30 +0100", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 21 Nov 2033 12:00:00 GMT", 3600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Sat, 99 Nov 2026 99:00:30 GMT", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_honoured_up_to_an_hour(code: int, said: str, seconds: float | None) -> None:
    error = await failure(status(f"{code} Later", retry_after=said))
    assert isinstance(error, WebhookFailed)
    assert error.retry_after_s == seconds


async def test_a_redirect_is_not_followed(webhooks: Webhooks) -> None:
    async with raw_server(status("200 OK")) as inside:
        error = await failure(status("307 Temporary Redirect", location=inside.url))
    assert isinstance(error, WebhookFailed)
    assert "redirects are not followed" in str(error)
    assert inside.connections == 0


# -- where it goes --


async def test_a_private_address_is_refused_for_good() -> None:
    wire = Wire(port=9)
    async with client(False, 5, resolve=Names([["93.184.215.14", "10.0.0.1"]]), network=wire) as http:
        for url in ("http://169.254.169.254/", "http://hooks.example.com/", "http://localhost/", "http://0x7f.1/"):
            with pytest.raises(WebhookRefused, match="cannot be sent"):
                await Webhooks(http, SecretStr(SECRET)).send(url, ID, KIND, DATA)
    assert wire.addresses == []


@pytest.mark.parametrize("url", ["nonsense", "ftp://example.com/", "http://[::1", "http://example.com/\n"])
async def test_a_url_that_cannot_be_used_is_refused_for_good(webhooks: Webhooks, url: str) -> None:
    with pytest.raises(WebhookRefused):
        await webhooks.send(url, ID, KIND, DATA)


async def test_a_receiver_that_is_down_is_asked_again(webhooks: Webhooks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(WebhookFailed, match=r"127\.0\.0\.1 cannot be reached"):
        await webhooks.send(f"http://127.0.0.1:{port}/?token=quiet", ID, KIND, DATA)


# -- receivers that misbehave --


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def dribble_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def keep_promising(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [hang, dribble_head, keep_promising])
async def test_a_receiver_that_takes_too_long_is_given_up(answer: Answer) -> None:
    async with raw_server(answer) as server, client(True, 5) as http:
        with pytest.raises(WebhookFailed, match=r"127\.0\.0\.1 did not answer in 0\.2 s"):
            await Webhooks(http, SecretStr(SECRET), timeout_s=0.2).send(server.url, ID, KIND, DATA)


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 100, b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20]
)
async def test_an_answer_that_is_no_http_is_a_failure(garbage: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        writer.close()

    assert isinstance(await failure(answer), WebhookFailed)


class Endless:
    """Answers at once, and then writes a body without end; counts what could be written."""

    def __init__(self, line: str, *, pause_s: float = 0, head: str = "") -> None:
        self.line, self.pause_s, self.head = line, pause_s, head
        self.written = 0
        self.broken_off = asyncio.Event()

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {self.line}\r\n{self.head}transfer-encoding: chunked\r\n\r\n".encode())
        part = b"x" * (16 if self.pause_s else 65536)
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
                self.written += len(part)
                await asyncio.sleep(self.pause_s)
        self.broken_off.set()


async def sent(webhooks: Webhooks, server: RawServer, endless: Endless) -> None:
    async with asyncio.timeout(20):
        await webhooks.send(server.url, ID, KIND, DATA)
        await endless.broken_off.wait()


@pytest.mark.parametrize("head", ["", "content-encoding: gzip\r\n"])
async def test_a_body_without_end_is_broken_off_and_the_status_counts(webhooks: Webhooks, head: str) -> None:
    endless = Endless("200 OK", head=head)
    async with raw_server(endless) as server:
        await sent(webhooks, server, endless)
    assert endless.written < 2**24  # what fits into the buffers of two sockets, not what can be sent in a second


async def test_a_body_that_dribbles_is_broken_off_and_the_status_counts(webhooks: Webhooks) -> None:
    endless = Endless("200 OK", pause_s=0.01)
    async with raw_server(endless) as server:
        await sent(webhooks, server, endless)
    assert endless.written < BODY_BYTES


async def test_a_failure_with_a_body_without_end_is_that_failure() -> None:
    assert str(await failure(Endless("410 Gone"))) == "127.0.0.1 answered 410 Gone"


async def test_after_a_short_answer_the_connection_is_used_again_after_a_long_one_not(webhooks: Webhooks) -> None:
    for body, connections in ((b"x" * 100, 1), (b"x" * 2**20, 3)):
        async with raw_server(status("200 OK", body)) as server:
            for _ in range(3):
                await webhooks.send(server.url, ID, KIND, DATA)
        assert (len(server.received), server.connections) == (3, connections)


async def test_a_compressed_body_is_not_unpacked(webhooks: Webhooks) -> None:
    bomb = gzip.compress(bytes(2**20))
    assert len(bomb) < BODY_BYTES
    async with raw_server(status("200 OK", bomb, content_encoding="gzip")) as server:
        for _ in range(2):
            await webhooks.send(server.url, ID, KIND, DATA)
    assert server.connections == 1, "unpacked it would be a long answer"


# -- orders and waits --


def test_an_order_with_a_webhook_needs_a_secret_and_a_public_address() -> None:
    without = Settings(_env_file=None)
    with_secret = Settings(_env_file=None, webhook_secret=SecretStr(SECRET))
    with pytest.raises(BadInput, match="TOLLGATE_WEBHOOK_SECRET is not set"):
        checked_webhook_url("https://example.com/hook", without)
    assert checked_webhook_url("https://example.com/hook", with_secret) == "https://example.com/hook"
    with pytest.raises(BadInput, match=r"webhook_url: 10\.0\.0\.1 does not have a public address"):
        checked_webhook_url("http://10.0.0.1/", with_secret)
    private = with_secret.model_copy(update={"webhook_allow_private": True})
    assert checked_webhook_url("http://10.0.0.1/", private) == "http://10.0.0.1/"


@given(st.integers(min_value=1, max_value=10_000))
def test_a_wait_is_at_most_three_times_the_last_and_an_hour(attempt: int) -> None:
    assert 0 <= delay(attempt) <= min(3600, 5 * 3 ** min(attempt - 1, 10))


def test_waits_use_the_whole_range() -> None:
    for attempt, longest in ((1, 5), (2, 15), (8, 3600), (20, 3600)):
        waits = [delay(attempt) for _ in range(2000)]
        assert min(waits) < longest * 0.05
        assert longest * 0.95 < max(waits) <= longest
