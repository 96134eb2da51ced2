"""A worker: takes jobs from the queue and runs each until it ends, waits for a human, or is handed over."""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from langgraph.runtime import RunControl

from app.access.audit import Audit
from app.config.settings import Settings
from app.errors import Busy, Draining, NoSuchJob, StoreOutage, WebhookFailed, WebhookRefused
from app.jobs.driver import OnEvent
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.results import JobResult
from app.jobs.states import TERMINAL
from app.work.alerts import KIND, Alert, of_deployment, of_tenant
from app.work.conditions import Conditions
from app.work.metrics import JobMetrics
from app.work.queue import Call, Queue, Worker
from app.work.queue_worker import QueueWorker, ended
from app.work.registry import Registry
from app.work.webhooks import Webhooks, delay
from graphs.deps import Deps
from graphs.errors import LedgerUnavailable, OperatorMustAct
from graphs.redis.failures import STORE_FAILED, explained
from graphs.state import Json

logger = logging.getLogger(__name__)

REDELIVER = 1.5  # leases of silence after which another worker gets a call, and then the lease
BUSY_S = 1.0
LATE_ENOUGH_S = 1.0  # after the time to decide; clocks agree about as well
REAP_S, TIDY_S, WAKE_S, ALERT_S = 15.0, 600.0, 2.0, 5.0
TENANTS_AT_ONCE = 500
SOON_S, LATE_S = 1.0, 60.0  # waits after an error: an internal one, and one that an operator must fix
LONGEST_S = 600.0
WEBHOOKS_AT_ONCE, OF_ONE_TENANT = 20, 5


@dataclass
class Work:
    """A worker's handling of calls.

    `queue` has the jobs, `calls` the webhooks. `attempts` is how many runs may fail or die at the same checkpoint.
    Without `webhooks` none are sent; `alert_url` is where alerts go.
    """

    jobs: Jobs
    records: Records
    registry: Registry
    queue: Queue
    calls: Queue
    deps: Deps
    audit: Audit
    attempts: int
    webhooks: Webhooks | None
    webhook_attempts: int
    conditions: Conditions
    metrics: JobMetrics
    alert_url: str | None = None
    running: set[RunControl] = field(default_factory=set)  # a job may have two, one of which will be refused
    draining: bool = False

    async def run(self, call: Call) -> float | None:
        """Run the job and what follows: a new day, its time limit for a decision, its webhook, its dead-lettering.
        Returns the seconds after which to run it again, or None."""
        job_id = call.name
        control = RunControl()
        self.running.add(control)
        if self.draining:
            control.request_drain()
        try:
            async with self._heard(job_id, call.tenant) as on_event:
                result = await self.jobs.run(job_id, on_event, control, self.attempts)
            return await self._follow(await self.records.get(job_id), result)
        except NoSuchJob as error:
            logger.warning("%s; the call is dropped", error)
            return None
        except (Busy, Draining) as error:
            return 0 if isinstance(error, Draining) else BUSY_S
        except StoreOutage as error:
            return await self._put_down(job_id, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return BUSY_S  # from inside the run: nobody cancelled this one
        except Exception as error:
            return await self._failed(job_id, error)
        finally:
            self.running.discard(control)

    async def adopt(self) -> None:
        """Ensure that every job that has not ended is in the queue, even if an earlier version left it elsewhere or the
        queue was lost."""
        async for tenant, job_ids in self.registry.all():
            for job_id in await self.records.not_ended(job_ids):
                await self.queue.ensure(Call(tenant, job_id))

    async def wake(self) -> None:
        """Let suspended jobs go on whose day has ended, or got a larger budget: by an admin, or by new settings."""
        for tenant in await self.queue.suspended():
            if not await self.deps.used_up(tenant):
                await self.queue.wake(tenant)

    async def alert(self) -> None:
        """Queue an alert for each budget of today that is used up to another threshold, once over all workers."""
        now, ledger, limits = self.deps.now(), self.deps.ledger, self.deps.limits
        everybody = await ledger.parts(now.astimezone(UTC).date(), most=0)
        found = [*of_deployment(everybody.spend, limits, now)]
        tenants = sorted({*everybody.dearest, *await self.queue.suspended()} - {""})
        for at in range(0, len(tenants), TENANTS_AT_ONCE):
            for tenant, today in (await ledger.spent_today_by(tenants[at : at + TENANTS_AT_ONCE])).items():
                found += of_tenant(tenant, today, limits, now)
        for each in found:
            await self.calls.rise(each.mark, each.percent, each.call())

    async def notify(self, call: Call) -> float | None:
        """Call the webhook once, of a job or an alert, and schedule a retry if worthwhile."""
        if alert := Alert.of(call):
            await self._alerted(call, alert)
            return None
        webhook_id = call.name.rpartition("/")[0]
        job_id, status, _ = webhook_id.split("/", 2)
        try:
            record = await self.records.get(job_id)
        except NoSuchJob as error:
            logger.warning("%s; its webhook is dropped", error)
            return None
        if record.webhook_url is None or self.webhooks is None:
            logger.warning("%s: no webhook is sent, because TOLLGATE_WEBHOOK_SECRET is no longer set", job_id)
            return None
        shown = ("job_id", "status", "stop_reason", "stop_detail", "cost_usd", "budget_usd", "escalation")
        data = {name: (record.result or {}).get(name) for name in shown} | {"metadata": record.metadata}
        await self._attempt(call, record.webhook_url, webhook_id, f"job.{status}", data, record.updated_at)
        return None

    async def _alerted(self, call: Call, alert: Alert) -> None:
        """Log the alert, at its first attempt, and send it where alerts go."""
        if call == alert.call():
            logger.warning("%s", alert.told)
        if self.webhooks and self.alert_url:
            await self._attempt(call, self.alert_url, alert.webhook_id, KIND, alert.data, alert.at)

    async def _attempt(self, call: Call, url: str, webhook_id: str, kind: str, data: Json, at: datetime) -> None:
        """Send a webhook once, and schedule a retry if worthwhile."""
        assert self.webhooks
        name, _, attempt = call.name.rpartition("/")
        try:
            await self.webhooks.send(url, webhook_id, kind, data, at=at)
        except WebhookRefused as error:
            logger.warning("webhook %s %s is abandoned: %s", kind, webhook_id, error)
        except WebhookFailed as error:
            if int(attempt) >= self.webhook_attempts:
                logger.warning("webhook %s %s is abandoned after %s attempts: %s", kind, webhook_id, attempt, error)
                return
            wait = delay(int(attempt)) if error.retry_after_s is None else error.retry_after_s
            await self.calls.put(Call(call.tenant, f"{name}/{int(attempt) + 1}"), wait)

    def drain(self) -> None:
        """Start nothing more, and make running jobs stop at their next step, to be handed over."""
        self.draining = True
        for control in self.running:
            control.request_drain()

    @contextlib.asynccontextmanager
    async def _heard(self, job_id: str, tenant: str) -> AsyncIterator[OnEvent]:
        """A listener for a run's events, which counts them, and records tool calls in the audit trail concurrently."""
        calls: asyncio.Queue[Json | None] = asyncio.Queue()

        def on_event(event: Json) -> None:
            self.metrics.heard(event)
            if event["type"] == "tool_call":
                calls.put_nowait(event)

        async def note() -> None:
            while (event := await calls.get()) is not None:
                detail = {name: event.get(name) for name in ("tool", "task", "evidence", "error")}
                try:
                    await self.audit.append("tool.call", event["agent"], tenant, job_id, detail, trace_id=job_id)
                except STORE_FAILED as error:  # the job is worth more than the entry
                    logger.warning("a tool call of %s is not in the audit trail: %r", job_id, error)

        noting = asyncio.create_task(note(), name=f"audit of {job_id}")
        try:
            with self.metrics.run():
                yield on_event
        finally:
            calls.put_nowait(None)
            await noting

    async def _failed(self, job_id: str, error: Exception) -> float:
        """Seconds until a failed run is retried."""
        wait = backoff((await self.records.get(job_id)).attempts, error)
        told = f" ({explained(error)})" if isinstance(error, STORE_FAILED) else ""
        logger.exception("%s failed%s; retrying in %.0f s", job_id, told, wait)
        return wait

    async def _put_down(self, job_id: str, outage: StoreOutage) -> float:
        """Wait for the store, and uncount the attempt."""
        logger.warning("%s", outage)
        while True:
            await asyncio.sleep(SOON_S)
            try:
                await self.records.write(job_id, outage.pending, fence=outage.token)
            except STORE_FAILED:
                continue
            except (Busy, NoSuchJob):  # another process continued it
                pass
            return 0

    async def _follow(self, record: Record, result: JobResult) -> float | None:
        """Handle what follows a run; return the seconds until the day or the time to decide is over, or None."""
        if result.status == "dead":
            await self.registry.bury(record.tenant, record.job_id)
        if result.resumes_at:
            await self.queue.suspend(Call(record.tenant, record.job_id))
            return self._left(result.resumes_at)
        told, left = "", None
        if result.escalation:
            told = str(result.escalation["escalation_id"])
            left = self._left(result.escalation["answer_by"])
            await self.registry.asks(record.job_id)
        else:
            await self.registry.asks_no_more(record.job_id)
        webhook_id = f"{record.job_id}/{result.status}/{told or record.requeued}"
        if record.webhook_url and (told or result.status in TERMINAL) and record.notified != webhook_id:
            await self.calls.put(Call(record.tenant, f"{webhook_id}/1"))
            await self.records.write(record.job_id, {"notified": webhook_id})
        return left

    def _left(self, until: str) -> float:
        """Seconds until shortly after this time."""
        return max(0, (datetime.fromisoformat(until) - self.deps.now()).total_seconds()) + LATE_ENOUGH_S


def backoff(attempt: int, error: Exception) -> float:
    """Seconds to wait after this many failed attempts: exponential, with jitter.

    What an operator must fix is retried less often than what may be transient, except the ledger: it is in the same
    store as the queue, so whoever can requeue the job has it again.
    """
    first = LATE_S if isinstance(error, OperatorMustAct) and not isinstance(error, LedgerUnavailable) else SOON_S
    longest: float = min(LONGEST_S, first * 2 ** max(0, attempt - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311


async def work_until(stop: asyncio.Event, work: Work, settings: Settings) -> None:
    """Take calls from the queues until `stop` is set, then hand over running jobs.

    A job that has not reached its next step after `drain_s` seconds is aborted; another worker gets it when this one
    has been silent for a while. Webhooks and the reaping of reservations have their own places, so that neither waits
    for a job or for each other.
    """
    name, silence_s = uuid.uuid4().hex, REDELIVER * settings.lease_s
    jobs = Worker(name, settings.worker_jobs, settings.tenant_jobs, silence_s)
    webhooks = Worker(name, WEBHOOKS_AT_ONCE, OF_ONE_TENANT, silence_s)
    taking = [
        asyncio.create_task(QueueWorker(work.queue, jobs, work.run, work.conditions.allowed).until(stop), name="jobs"),
        asyncio.create_task(QueueWorker(work.calls, webhooks, work.notify).until(stop), name="webhooks"),
    ]
    beside = [
        asyncio.create_task(_regularly(work.deps.ledger.reap, REAP_S), name="reaps reservations"),
        asyncio.create_task(_regularly(work.wake, WAKE_S), name="wakes suspended jobs"),
        asyncio.create_task(_regularly(work.alert, ALERT_S), name="looks at the day's budgets"),
        asyncio.create_task(_regularly(work.jobs.tidy, TIDY_S), name="removes files of jobs that are gone"),
    ]
    stopping = asyncio.create_task(stop.wait(), name="waits for the signal")
    try:
        await asyncio.wait({*taking, *beside, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        work.drain()
        await asyncio.wait(taking, timeout=settings.drain_s)
    finally:
        for each in (*taking, stopping):
            each.cancel()
        await asyncio.wait({*taking, stopping})
        await ended(*beside)
    for each in (*taking, *beside):
        if not each.cancelled():
            each.result()  # a worker that cannot take calls must fail visibly


async def _regularly(act: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Run this periodically, in every worker: it is idempotent."""
    while True:
        try:
            await act()
        except (LedgerUnavailable, *STORE_FAILED):  # the next time
            pass
        except OSError as error:  # a concurrent removal or a disk error must not stop jobs
            logger.warning("files could not be removed, retrying later: %s", error)
        await asyncio.sleep(every_s * random.uniform(0.5, 1))  # noqa: S311  not a secret
