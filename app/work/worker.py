"""A worker: takes jobs from the queue and runs each until it ends, waits for a human, or has to be handed over."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from docket import ConcurrencyLimit, Docket, Perpetual, Retry
from docket import Worker as Taker
from langgraph.runtime import RunControl

from app.access.audit import Audit
from app.config.settings import Settings
from app.errors import Busy, Draining, NoSuchJob, WebhookFailed, WebhookRefused
from app.jobs.driver import OnEvent
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.results import JobResult
from app.jobs.states import TERMINAL
from app.work.queue import NOTIFY, REAP, RUN, SWEEP, Queue
from app.work.registry import Registry, called
from app.work.webhooks import Webhooks, delay
from graphs.clock import utc_now
from graphs.errors import LedgerUnavailable, OperatorMustAct
from graphs.governance.ledger import Ledger
from graphs.state import Json
from graphs.store_failures import STORE_FAILED, explained

logger = logging.getLogger(__name__)

REDELIVER = 1.5  # leases: a call of a worker that is silent for so long is given to another, who then gets the lease
BUSY_S = 1.0
LATE_ENOUGH_S = 1.0  # after the time for an answer, by clocks that agree about as well
OUTBOX_S = 2.0  # a call that is in the outbox for longer was left there
SWEEP_EVERY = timedelta(seconds=1)
REAP_EVERY = timedelta(seconds=15)
SOON_S, LATE_S = 1.0, 60.0  # waits after an error: of ours, and of a service that somebody has to mend
LONGEST_S = 600.0
CHORES_AT_ONCE = 10
AGAIN = timedelta(seconds=5)  # after an error that only Redis can have caused: the call stays in the queue


@dataclass
class Work:
    """What a worker does with a call.

    `attempts` is how many runs may fail or die at the same checkpoint. Without `webhooks` none are sent.
    """

    jobs: Jobs
    records: Records
    registry: Registry
    queue: Queue
    ledger: Ledger
    audit: Audit
    attempts: int
    webhooks: Webhooks | None
    webhook_attempts: int
    running: set[RunControl] = field(default_factory=set)  # a job may have two, one of which is about to be refused
    draining: bool = False

    async def run(self, job_id: str, tenant: str) -> None:
        """Run the job, and see to what follows: another attempt, its expiry, its webhook, its burial."""
        if self.draining:
            return await self.queue.later(job_id, tenant, 0)
        control = RunControl()
        self.running.add(control)
        try:
            async with self._audited(job_id, tenant) as on_event:
                result = await self.jobs.run(job_id, on_event, control, self.attempts)
        except NoSuchJob as error:
            logger.warning("%s; the call is dropped", error)
            return None
        except (Busy, Draining) as error:
            return await self.queue.later(job_id, tenant, BUSY_S if isinstance(error, Busy) else 0)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return await self.queue.later(job_id, tenant, BUSY_S)  # of something in it: nobody has cancelled the run
        except Exception as error:
            wait = backoff((await self.records.get(job_id)).attempts, error)
            told = f" ({explained(error)})" if isinstance(error, STORE_FAILED) else ""
            logger.exception("%s failed%s; it is tried again in %.0f s", job_id, told, wait)
            return await self.queue.later(job_id, tenant, wait)
        finally:
            self.running.discard(control)
        await self._follow(await self.records.get(job_id), result)
        return None

    async def notify(self, job_id: str, kind: str, webhook_id: str, attempt: int) -> None:
        """Tell the job's webhook, and see to another attempt when it is worth one."""
        try:
            record = await self.records.get(job_id)
        except NoSuchJob as error:
            logger.warning("%s; its webhook is dropped", error)
            return
        if record.webhook_url is None or self.webhooks is None:
            logger.warning("%s: no webhook is sent, because TOLLGATE_WEBHOOK_SECRET is not set any more", job_id)
            return
        shown = ("job_id", "status", "stop_reason", "stop_detail", "cost_usd", "budget_usd", "escalation")
        data = {name: (record.result or {}).get(name) for name in shown} | {"metadata": record.metadata}
        try:
            await self.webhooks.send(record.webhook_url, webhook_id, kind, data, at=record.updated_at)
        except WebhookRefused as error:
            logger.warning("%s: %s is given up: %s", job_id, kind, error)
        except WebhookFailed as error:
            if attempt >= self.webhook_attempts:
                logger.warning("%s: %s is given up after %d attempts: %s", job_id, kind, attempt, error)
                return
            wait = delay(attempt) if error.retry_after_s is None else error.retry_after_s
            await self.queue.notify(job_id, kind, webhook_id, attempt + 1, wait)

    async def sweep(self) -> None:
        """Put calls into the queue that whoever accepted them could not."""
        for call in await self.registry.overdue(OUTBOX_S):
            try:
                record = await self.records.get(called(call))
            except NoSuchJob:
                await self.registry.woken(call)
            else:
                await self.queue.put(call, record.tenant)

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

    async def _follow(self, record: Record, result: JobResult) -> None:
        if result.status == "dead":
            await self.registry.bury(record.job_id)
        told = ""
        if result.escalation:
            told = str(result.escalation["escalation_id"])
            left = datetime.fromisoformat(result.escalation["answer_by"]) - utc_now()
            await self.queue.later(record.job_id, record.tenant, max(0, left.total_seconds()) + LATE_ENOUGH_S)
        webhook_id = f"{record.job_id}/{result.status}/{told or record.requeued}"
        if record.webhook_url and (told or result.status in TERMINAL) and record.notified != webhook_id:
            await self.queue.notify(record.job_id, f"job.{result.status}", webhook_id)
            await self.records.write(record.job_id, {"notified": webhook_id})


def backoff(attempt: int, error: Exception) -> float:
    """Seconds to wait after so many failed attempts: twice as long each time, with jitter.

    What somebody has to mend is asked for less often than what may have been a fault of the moment. The ledger is where
    the queue is: whoever can put the job back there has it again.
    """
    first = LATE_S if isinstance(error, OperatorMustAct) and not isinstance(error, LedgerUnavailable) else SOON_S
    longest: float = min(LONGEST_S, first * 2 ** max(0, attempt - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311


async def work_until(stop: asyncio.Event, work: Work, settings: Settings) -> None:
    """Take calls from the queue until `stop` is set, then hand over what runs.

    What has not got to its next step after `drain_s` seconds is broken off, and given to another worker when this one
    has been silent for a while.
    """
    queue = work.queue
    _register(work, settings.tenant_jobs)
    silence_s = REDELIVER * settings.lease_s
    async with (
        _taking(queue.jobs, settings.worker_jobs, silence_s) as jobs,
        _taking(queue.chores, CHORES_AT_ONCE, silence_s) as chores,
    ):
        stopping = asyncio.create_task(stop.wait(), name="waits for the signal")
        await asyncio.wait({jobs, chores, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        work.drain()
        for each in (jobs, chores):
            each.cancel()  # it takes no more, and waits for what runs
        await asyncio.wait({jobs, chores}, timeout=settings.drain_s)


@contextlib.asynccontextmanager
async def _taking(docket: Docket, at_once: int, silence_s: float) -> AsyncIterator["asyncio.Task[None]"]:
    """Takes calls, until the task is cancelled and what it runs has ended."""
    silence, second = timedelta(seconds=silence_s), timedelta(seconds=1)
    async with Taker(docket, concurrency=at_once, redelivery_timeout=silence, reconnection_delay=second) as taker:
        task = asyncio.create_task(taker.run_forever(), name=f"takes from {docket.name}")
        yield task
        if task.done() and not task.cancelled():
            task.result()  # a worker that cannot take calls must not look like one that has nothing to do
        task.cancel()  # the second time it breaks off what runs, and the calls stay in the queue
        await asyncio.wait({task})


def _register(work: Work, per_tenant: int) -> None:
    async def run_job(
        job_id: str,
        tenant: str,
        limit: ConcurrencyLimit = ConcurrencyLimit("tenant", per_tenant),
        retry: Retry = Retry.forever(delay=AGAIN),
    ) -> None:
        await work.run(job_id, tenant)

    async def notify(
        job_id: str, kind: str, webhook_id: str, attempt: int, retry: Retry = Retry.forever(delay=AGAIN)
    ) -> None:
        await work.notify(job_id, kind, webhook_id, attempt)

    async def sweep(every: Perpetual = Perpetual(every=SWEEP_EVERY, automatic=True)) -> None:
        await work.sweep()

    async def reap(every: Perpetual = Perpetual(every=REAP_EVERY, automatic=True)) -> None:
        await work.ledger.reap()

    work.queue.jobs.register(run_job, names=[RUN])
    work.queue.chores.register(notify, names=[NOTIFY])
    work.queue.chores.register(sweep, names=[SWEEP])
    work.queue.chores.register(reap, names=[REAP])
