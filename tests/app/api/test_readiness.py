"""`/readyz` says what is missing, and no more than everybody may know."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config.settings import Settings
from app.store.embedded_redis import embedded_redis
from app.work.readiness import UNUSABLE, telling
from tests.app.api.in_process import Api, api_over


@pytest.fixture
async def api(settings: Settings, tmp_path: Path) -> AsyncIterator[Api]:
    """The API over a store of its own, to be mistreated."""
    with embedded_redis(tmp_path) as url:
        async with api_over(settings, url) as api:
            yield api


async def ready(api: Api) -> httpx.Response:
    async with api.client() as client:
        return await client.get("/readyz")


@pytest.mark.parametrize(
    ("hurt", "mended", "said"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "store: Redis has no memory left"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "store: Redis is a replica, which cannot be written to"),
        ("CLIENT PAUSE 60000 WRITE", "CLIENT UNPAUSE", "store: Redis does not answer"),
    ],
    ids=["full", "read-only", "stuck"],
)
async def test_a_store_that_takes_no_writes_is_named(api: Api, hurt: str, mended: str, said: str) -> None:
    admin: Any = api.service.client
    assert (await ready(api)).json() == {"status": "ok", "parts": {"store": "ok"}}
    assert await admin.keys("tollgate:{ready}*") == [], "looking leaves nothing behind"
    await admin.execute_command(*hurt.split())
    answer = await ready(api)
    assert (answer.status_code, answer.json()["detail"]) == (503, said)
    assert answer.headers["retry-after"] == "5"
    await admin.execute_command(*mended.split())
    assert (await ready(api)).status_code == 200


async def test_what_workers_lack_is_named_until_one_of_them_has_it(api: Api) -> None:
    store, found = api.service.client, {"model": True, "sales": False}

    async def needs() -> dict[str, bool]:
        return found

    async with telling(store, needs):
        while await store.get("tollgate:{ready}:has:worker") is None:
            pass
        answer = await ready(api)
        assert (answer.status_code, answer.json()["detail"]) == (503, f"sales: {UNUSABLE}")
        found["sales"] = True
        while await store.get("tollgate:{ready}:has:sales") is None:
            pass
        assert await store.exists("tollgate:{ready}:lacks:sales"), "another worker may still lack it"
        assert 0 < await store.pttl("tollgate:{ready}:has:sales") <= 5000
        parts = {"store": "ok", "worker": "ok", "model": "ok", "sales": "ok"}
        assert (await ready(api)).json() == {"status": "ok", "parts": parts}
    assert 0 < await store.pttl("tollgate:{ready}:has:worker") <= 10_000
    await store.delete("tollgate:{ready}:has:worker")
    answer = await ready(api)
    assert (answer.status_code, answer.json()["detail"]) == (503, "worker: none is running")


async def test_a_request_that_a_full_store_fails_is_no_traceback_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    admin: Any = api.service.client
    await admin.execute_command("CONFIG", "SET", "maxmemory", "1")
    async with api.client() as client:
        assert (await client.get("/v1/jobs")).status_code == 503
    await admin.execute_command("CONFIG", "SET", "maxmemory", "0")
    failed = [each for each in caplog.records if " failed, request " in each.getMessage()]
    assert ["raise its maxmemory" in each.getMessage() for each in failed] == [True]
    assert failed[0].exc_info is None
