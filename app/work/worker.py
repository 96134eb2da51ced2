"""A worker: takes jobs from the queue and runs each until it ends, waits for a human, or has to be handed over."""

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from langgraph.runtime import RunControl

from app.access.audit import Audit
from app.config.settings import Settings
from app.errors import Busy, Draining, NoSuchJob, StoreOutage, WebhookFailed, WebhookRefused
from app.jobs.driver import OnEvent
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.results import JobResult
from app.jobs.states import TERMINAL
from app.work.conditions import Conditions
from app.work.queue import Call, Queue, Worker
from app.work.queue_worker import QueueWorker, ended
from app.work.registry import Registry
from app.work.webhooks import Webhooks, delay
from graphs.errors import LedgerUnavailable, OperatorMustAct
from graphs.redis.failures import STORE_FAILED, explained
from graphs.spending.ledger import Ledger
from graphs.state import Json

logger = logging.getLogger(__name__)

REDELIVER = 1.5  # leases: a call of a worker that is silent for so long is given to another, who then gets the lease
BUSY_S = 1.0
LATE_ENOUGH_S = 1.0  # after the time for an answer, by clocks that agree about as well
REAP_S, TIDY_S = 15.0, 600.0
SOON_S, LATE_S = 1.0, 60.0  # waits after an error: of ours, and of a service that somebody has to mend
LONGEST_S = 600.0
WEBHOOKS_AT_ONCE, OF_ONE_TENANT = 20, 5


@dataclass
class Work:
    """What a worker does with a call.

    `queue` has the jobs, `calls` the webhooks that are to be called. `attempts` is how many runs may fail or die at the
    same checkpoint. Without `webhooks` none are sent.
    """

    jobs: Jobs
    records: Records
    registry: Registry
    queue: Queue
    calls: Queue
    ledger: Ledger
    audit: Audit
    attempts: int
    webhooks: Webhooks | None
    webhook_attempts: int
    conditions: Conditions
    running: set[RunControl] = field(default_factory=set)  # a job may have two, one of which is about to be refused
    draining: bool = False

    async def run(self, call: Call) -> float | None:
        """Run the job, and see to what follows: its expiry, its webhook, its burial. Seconds after which it is to be
        run again."""
        job_id = call.name
        control = RunControl()
        self.running.add(control)
        if self.draining:
            control.request_drain()
        try:
            async with self._audited(job_id, call.tenant) as on_event:
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
            return BUSY_S  # of something in it: nobody has cancelled the run
        except Exception as error:
            return await self._failed(job_id, error)
        finally:
            self.running.discard(control)

    async def adopt(self) -> None:
        """See to it that every job that has not ended is in the queue: whatever a version before this one left
        elsewhere, or an operator lost with the queue, goes on."""
        async for tenant, job_ids in self.registry.all():
            for job_id in await self.records.not_ended(job_ids):
                await self.queue.ensure(Call(tenant, job_id))

    async def notify(self, call: Call) -> float | None:
        """Call the job's webhook once, and see to another attempt when it is worth one."""
        webhook_id, _, attempt = call.name.rpartition("/")
        job_id, status, _ = webhook_id.split("/", 2)
        try:
            record = await self.records.get(job_id)
        except NoSuchJob as error:
            logger.warning("%s; its webhook is dropped", error)
            return None
        if record.webhook_url is None or self.webhooks is None:
            logger.warning("%s: no webhook is sent, because TOLLGATE_WEBHOOK_SECRET is not set any more", job_id)
            return None
        shown = ("job_id", "status", "stop_reason", "stop_detail", "cost_usd", "budget_usd", "escalation")
        data = {name: (record.result or {}).get(name) for name in shown} | {"metadata": record.metadata}
        kind = f"job.{status}"
        try:
            await self.webhooks.send(record.webhook_url, webhook_id, kind, data, at=record.updated_at)
        except WebhookRefused as error:
            logger.warning("%s: %s is given up: %s", job_id, kind, error)
        except WebhookFailed as error:
            if int(attempt) >= self.webhook_attempts:
                logger.warning("%s: %s is given up after %s attempts: %s", job_id, kind, attempt, error)
                return None
            wait = delay(int(attempt)) if error.retry_after_s is None else error.retry_after_s
            await self.calls.put(Call(call.tenant, f"{webhook_id}/{int(attempt) + 1}"), wait)
        return None

    def drain(self) -> None:
        """Begin nothing more, and let what runs stop at its next step, to be handed over."""
        self.draining = True
        for control in self.running:
            control.request_drain()

    @contextlib.asynccontextmanager
    async def _audited(self, job_id: str, tenant: str) -> AsyncIterator[OnEvent]:
        """Takes events of a run and notes the tool calls among them, while the run goes on."""
        calls: asyncio.Queue[Json | None] = asyncio.Queue()

        def on_event(event: Json) -> None:
            if event["type"] == "tool_call":
                calls.put_nowait(event)

        async def note() -> None:
            while (event := await calls.get()) is not None:
                detail = {name: event.get(name) for name in ("tool", "task", "evidence", "error")}
                try:
                    await self.audit.append("tool.call", event["agent"], tenant, job_id, detail, trace_id=job_id)
                except STORE_FAILED as error:  # what the call led to is worth more than its entry
                    logger.warning("a tool call of %s is not in the audit trail: %r", job_id, error)

        noting = asyncio.create_task(note(), name=f"audit of {job_id}")
        try:
            yield on_event
        finally:
            calls.put_nowait(None)
            await noting

    async def _failed(self, job_id: str, error: Exception) -> float:
        """Seconds until a run that failed is tried again."""
        wait = backoff((await self.records.get(job_id)).attempts, error)
        told = f" ({explained(error)})" if isinstance(error, STORE_FAILED) else ""
        logger.exception("%s failed%s; it is tried again in %.0f s", job_id, told, wait)
        return wait

    async def _put_down(self, job_id: str, outage: StoreOutage) -> float:
        """Wait for the store, and tell it that the attempt was none of the job's."""
        logger.warning("%s", outage)
        while True:
            await asyncio.sleep(SOON_S)
            try:
                await self.records.write(job_id, outage.anew, fence=outage.token)
            except STORE_FAILED:
                continue
            except (Busy, NoSuchJob):  # another has gone on with it
                pass
            return 0

    async def _follow(self, record: Record, result: JobResult) -> float | None:
        """See to what follows a run; seconds until the time for an answer is over."""
        if result.status == "dead":
            await self.registry.bury(record.tenant, record.job_id)
        told, left = "", None
        if result.escalation:
            told = str(result.escalation["escalation_id"])
            answer_by = datetime.fromisoformat(result.escalation["answer_by"])
            left = max(0, (answer_by - self.conditions.clock()).total_seconds()) + LATE_ENOUGH_S
        webhook_id = f"{record.job_id}/{result.status}/{told or record.requeued}"
        if record.webhook_url and (told or result.status in TERMINAL) and record.notified != webhook_id:
            await self.calls.put(Call(record.tenant, f"{webhook_id}/1"))
            await self.records.write(record.job_id, {"notified": webhook_id})
        return left


def backoff(attempt: int, error: Exception) -> float:
    """Seconds to wait after so many failed attempts: twice as long each time, with jitter.

    What somebody has to mend is asked for less often than what may have been a fault of the moment. The ledger is where
    the queue is: whoever can put the job back there has it again.
    """
    first = LATE_S if isinstance(error, OperatorMustAct) and not isinstance(error, LedgerUnavailable) else SOON_S
    longest: float = min(LONGEST_S, first * 2 ** max(0, attempt - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311


async def work_until(stop: asyncio.Event, work: Work, settings: Settings) -> None:
    """Take calls from the queues until `stop` is set, then hand over what runs.

    What has not got to its next step after `drain_s` seconds is broken off, and given to another worker when this one
    has been silent for a while. Webhooks and what looks after money have places of their own, so that neither waits for
    a job, nor for each other.
    """
    name, silence_s = uuid.uuid4().hex, REDELIVER * settings.lease_s
    jobs = Worker(name, settings.worker_jobs, settings.tenant_jobs, silence_s)
    webhooks = Worker(name, WEBHOOKS_AT_ONCE, OF_ONE_TENANT, silence_s)
    taking = [
        asyncio.create_task(QueueWorker(work.queue, jobs, work.run, work.conditions.allowed).until(stop), name="jobs"),
        asyncio.create_task(QueueWorker(work.calls, webhooks, work.notify).until(stop), name="webhooks"),
    ]
    beside = [
        asyncio.create_task(_regularly(work.ledger.reap, REAP_S), name="reaps reservations"),
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
            each.result()  # a worker that cannot take calls must not look like one that was told to stop


async def _regularly(act: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Do this again and again. Every worker does: doing it twice changes nothing."""
    while True:
        try:
            await act()
        except (LedgerUnavailable, *STORE_FAILED):  # the next time
            pass
        except OSError as error:  # files that another removes at the same time, a disk: no reason to run no jobs
            logger.warning("files could not be tidied up, which is tried again: %s", error)
        await asyncio.sleep(every_s * random.uniform(0.5, 1))  # noqa: S311  not a secret
