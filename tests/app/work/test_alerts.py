"""Alerts about a day's budget: each threshold is told once, whoever looks and whatever fails."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr, ValidationError
from redis.asyncio import Redis
from standardwebhooks import Webhook

from app.access.audit import trail
from app.config.settings import Settings
from app.errors import BadInput
from app.running.processes import Addresses
from app.running.serving import opened_service
from app.work.alerts import Alert
from app.work.queue import WEBHOOKS, Call, Queue, Worker
from app.work.queue_worker import QueueWorker
from app.work.webhooks import Webhooks, checked_alert_url
from app.work.worker import Work
from graphs.errors import LimitReached
from graphs.spending.ledger import Ledger
from graphs.spending.limits import MICRO, Limits
from graphs.spending.spend import Account
from safe_http.public import client as outside
from tests.app.queued import deployment, ended, order, submitted
from tests.app.work.test_days import Clock
from tests.app.work.test_webhooks import SECRET
from tests.app.work.test_worker import unavailable_at_first, until
from tests.raw_server import Answer, RawServer, raw_server, status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WIDE = dict.fromkeys(("budget_micro_usd", "spend_per_minute_micro_usd"), 100 * MICRO)
Told = tuple[str | None, int, float]


@dataclass
class Watched:
    """Two workers that look at the same budgets, and who is told."""

    workers: list[Work]
    receiver: RawServer
    clock: Clock
    calls: int = 0
    heard: int = 0

    @property
    def ledger(self) -> Ledger:
        return self.workers[0].deps.ledger

    async def spend(self, usd: float, tenant: str = "acme") -> None:
        self.calls += 1
        limits = self.workers[0].deps.limits.model_copy(update=WIDE | {"agent_share_percent": 100})
        account = Account(f"job-{self.calls}", tenant, "sales", limits, self.clock.now)
        await self.ledger.reserve(f"call-{self.calls}", account, round(usd * MICRO), expires_in_s=60)
        await self.ledger.settle(f"call-{self.calls}", round(usd * MICRO))

    async def told(self) -> list[Told]:
        """What comes when all look at once, and several times: tenant, percent and limit."""
        await asyncio.gather(*(each.alert() for each in self.workers * 3))
        stop, queue = asyncio.Event(), self.workers[0].calls
        delivering = QueueWorker(queue, Worker("alerts", 5, 5, 60), self.workers[0].notify)
        task = asyncio.create_task(delivering.until(stop))
        while any((await queue.sizes())[:3]):  # noqa: ASYNC110  the store tells nobody
            await asyncio.sleep(0.01)
        stop.set()
        await task
        came, self.heard = self.receiver.received[self.heard :], len(self.receiver.received)
        found = [Webhook(SECRET).verify(each.body, each.headers)["data"] for each in came]
        return [(each["tenant"], each["percent"], each["limit_usd"]) for each in found]


@contextlib.asynccontextmanager
async def watched(settings: Settings, client: Redis, redis_url: str, answer: Answer) -> AsyncIterator[Watched]:
    """A tenant has $5 of the deployment's $20."""
    clock, ttl = Clock(NOON), settings.ttl_seconds
    async with (
        opened_service(settings, redis_url, lambda _: None) as service,
        raw_server(answer) as receiver,
        outside(True, 5) as http,
    ):
        deps = dataclasses.replace(service.deps, ledger=Ledger(client, ttl_seconds=ttl, now=clock), now=clock)
        calls, webhooks = Queue(client, WEBHOOKS, ttl_seconds=ttl), Webhooks(http, SecretStr(SECRET))
        audit, none = trail(settings, client), cast("Any", None)
        given = (service.jobs, service.records, service.registry, service.queue, calls, deps, audit, 3, webhooks, 3)
        yield Watched([Work(*given, none, none, f"{receiver.url}/told") for _ in range(2)], receiver, clock)


async def test_each_threshold_of_a_budget_is_told_once_whoever_looks(
    settings: Settings, redis_client: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(settings, redis_client, redis_url, status("204 No Content")) as here:
        await here.spend(2.49)
        assert await here.told() == []
        await here.spend(0.01)
        assert await here.told() == [("acme", 50, 5)]
        assert await here.told() == []
        await here.spend(2.5)
        assert await here.told() == [("acme", 100, 5)], "of several the highest"
        await here.spend(4.9, "other")
        assert await here.told() == [("other", 80, 5)]
        await here.spend(0.1, "third")
        assert await here.told() == [(None, 50, 20)]
        here.clock.now += timedelta(days=1)
        assert await here.told() == []
        await here.spend(4)
        assert await here.told() == [("acme", 80, 5)], "a new day"
        bodies = {each.headers["webhook-id"]: each.body for each in here.receiver.received}
        assert len(bodies) == len(here.receiver.received)
        assert b'"type": "budget.alert", "timestamp": "2026-03-01T12:00:00+00:00"' in min(bodies.values(), key=len)
    lines = [each for each in caplog.messages if each.startswith("the budget of")]
    assert lines[:2] == [
        "the budget of tenant acme for 2026-03-01 is 50 % used: USD 2.50 of USD 5.00",
        "the budget of tenant acme for 2026-03-01 is used up: USD 5.00 of USD 5.00",
    ]
    assert len(lines) == len(bodies)


async def test_a_changed_budget_is_told_of_anew_and_the_same_one_is_not(
    settings: Settings, redis_client: Redis, redis_url: str
) -> None:
    async with watched(settings, redis_client, redis_url, status("204 No Content")) as here:
        await here.spend(4.5)
        assert await here.told() == [("acme", 80, 5)]
        await here.ledger.allow_today(10 * MICRO, "acme")
        assert await here.told() == []
        await here.spend(0.5)
        assert await here.told() == [("acme", 50, 10)]
        await here.ledger.allow_today(5 * MICRO, "acme")
        assert await here.told() == [("acme", 100, 5)]
        await here.ledger.allow_today(10 * MICRO, "acme")
        await here.ledger.allow_today(10 * MICRO, "acme")
        assert await here.told() == []
        await here.ledger.allow_today(0)
        assert await here.told() == [(None, 100, 0)], "the admin of the tenant's budget has set it himself"


async def test_a_budget_that_pays_for_no_more_is_used_up_and_what_is_corrected_is_not_told_again(
    settings: Settings, redis_client: Redis, redis_url: str
) -> None:
    async with watched(settings, redis_client, redis_url, status("204 No Content")) as here:
        account = Account("job", "acme", "sales", Limits(**WIDE), NOON)
        await here.ledger.reserve("call", account, 4 * MICRO, expires_in_s=1)
        here.clock.now += timedelta(seconds=2)
        await here.ledger.reap()
        assert await here.told() == [("acme", 80, 5)]
        await here.ledger.settle("call", 3 * MICRO)
        assert await here.told() == [], "half of it was used before"
        with pytest.raises(LimitReached):
            await here.spend(2.1)
        assert await here.told() == [("acme", 100, 5)]


async def test_an_alert_that_does_not_arrive_is_sent_again_and_logged_once(
    settings: Settings, redis_client: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(settings, redis_client, redis_url, unavailable_at_first()) as here:
        await here.spend(3)
        assert await here.told() == [("acme", 50, 5)] * 2
        first, second = here.receiver.received
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len([each for each in caplog.messages if each.startswith("the budget of")]) == 1


def test_a_call_is_the_whole_alert() -> None:
    alert = Alert("acme", NOON, 80, 4_000_001, 5_000_000)
    assert [Alert.of(alert.call(attempt)) for attempt in (1, 7)] == [alert, alert]
    assert Alert.of(Call("acme", "job-20260101-000000-0a1b2c3d4e/completed/0/1")) is None


def test_an_address_for_alerts_needs_a_secret_and_is_checked() -> None:
    url: Any = {"alert_webhook_url": "http://10.0.0.1/told"}
    with pytest.raises(ValidationError, match="TOLLGATE_ALERT_WEBHOOK_URL needs TOLLGATE_WEBHOOK_SECRET"):
        Settings(_env_file=None, **url)
    given = Settings(_env_file=None, webhook_secret=SecretStr(SECRET), **url)
    with pytest.raises(BadInput, match=r"TOLLGATE_ALERT_WEBHOOK_URL: 10\.0\.0\.1 does not have a public address"):
        checked_alert_url(given)
    assert checked_alert_url(given.model_copy(update={"webhook_allow_private": True})) == "http://10.0.0.1/told"


@pytest.mark.slow
async def test_a_worker_tells_of_a_budget_that_its_jobs_use_up(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service, raw_server(status("204 No Content")) as receiver:

            def told() -> list[Any]:
                return [Webhook(SECRET).verify(each.body, each.headers)["data"] for each in receiver.received]

            await service.deps.ledger.allow_today(1_500, "acme")  # pays for the plan
            given = {"TOLLGATE_WEBHOOK_SECRET": SECRET, "TOLLGATE_WEBHOOK_ALLOW_PRIVATE": "true"}
            said: list[str] = []
            with here.worker(said=said, TOLLGATE_ALERT_WEBHOOK_URL=f"{receiver.url}/told", **given):  # type: ignore[arg-type]
                job_id = (await submitted(service, order(here.settings, answer_tokens=600)))[0].job_id
                assert (await ended(service, job_id, also=frozenset({"suspended"}))).status == "suspended"
                await until(lambda: any(each["percent"] == 100 for each in told()))
    assert {(each["tenant"], each["limit_usd"]) for each in told()} == {("acme", 0.0015)}
    assert len({each["percent"] for each in told()}) == len(told()), "each once"
    assert len([line for line in said if "the budget of tenant acme" in line]) == len(told())
