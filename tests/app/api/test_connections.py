"""Clients that hold connections of `tollgate api`, as many as they can: others notice nothing."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from safe_http.connections import Bounds
from tests.app.api.in_process import QUESTION
from tests.app.api.programs import Replica, replica
from tests.app.api.test_conformance import problem
from tests.app.queued import deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("connections")]

DESCRIPTORS, CROWD, ASKED = 256, 300, 100
PATIENCE_S = Bounds().request_s / 4  # a request that waits until the crowd has to go would take all of it
REQUEST = b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HELD = {
    "silent": [b""],
    "a byte of the next request": [REQUEST + b"\r\n", b"G"],
    "a body that does not come": [b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """An API with few descriptors."""
    unhurried = {"TOLLGATE_REQUESTS_PER_MINUTE": "60000", "TOLLGATE_REQUESTS_BURST": "10000"}
    with deployment(tmp_path_factory.mktemp("api")) as here, replica(here, 0, DESCRIPTORS, **unhurried) as api:
        yield api


@contextlib.contextmanager
def crowd(api: Replica, sent: list[bytes]) -> Iterator[list[socket.socket]]:
    """Connections on each of which this was sent, and what was answered in between was read."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(CROWD)]
        for client in clients:
            client.settimeout(5)
            client.connect(("127.0.0.1", urlsplit(api.url).port))
            with contextlib.suppress(ConnectionError):  # it has made room for another
                for number, part in enumerate(sent):
                    client.sendall(part)
                    if number < len(sent) - 1:
                        client.recv(65_536)
        yield clients


@pytest.mark.parametrize("sent", HELD.values(), ids=HELD.keys())
async def test_a_crowd_that_holds_connections_delays_nobody(small: Replica, sent: list[bytes]) -> None:
    before = len(small.log)
    with crowd(small, sent):
        async with httpx.AsyncClient(base_url=small.url, verify=False, timeout=PATIENCE_S) as client:
            for _ in range(ASKED):  # on one connection
                await _asked(client)
        for _ in range(ASKED):  # each on a new one
            async with httpx.AsyncClient(base_url=small.url, verify=False, timeout=PATIENCE_S) as client:
                await _asked(client)
    more_than_one_a_request = [line for line in small.log[before:] if " INFO    app.api.observing: " not in line]
    assert len(more_than_one_a_request) < 3, more_than_one_a_request


async def test_a_key_has_so_many_streams_and_no_more(small: Replica) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=small.url))
        job = (await client.post("/v1/jobs", json={"question": QUESTION})).json()
        answers = []
        for _ in range(DESCRIPTORS // 8):
            answers.append(await stack.enter_async_context(client.stream("GET", job["links"]["events"])))
            if answers[-1].status_code != 200:
                break
        await answers[-1].aread()
        assert 10 < len(answers) < DESCRIPTORS // 8
        problem(answers[-1], "too-many-requests")
        assert int(answers[-1].headers["Retry-After"]) > 0
        await answers[0].aclose()
        async with asyncio.timeout(5):
            while True:  # until the server has noticed
                async with client.stream("GET", job["links"]["events"]) as again:
                    if again.status_code == 200:
                        return


async def _asked(client: httpx.AsyncClient) -> None:
    (await client.get("/v1/jobs", params={"limit": 1})).raise_for_status()
