"""What callers do to jobs, with its audit entry: called by the routes and by the console, which check the scope."""

from app.access.keys import Scope
from app.api.auth import Caller
from app.api.backend import Backend
from app.api.metrics import Metrics
from app.api.models import DecisionRequest, JobRequest
from app.api.problems import Refused
from app.jobs.records import Record
from app.work.service import Submission
from app.work.webhooks import checked_webhook_url
from graphs.state import Json


async def submit(
    here: Backend, metrics: Metrics, caller: Caller, job: JobRequest, key: str | None, request_id: str
) -> tuple[Record, bool]:
    """Accept a job, once per idempotency key. Returns it, and whether it is new. Raises as `Service.accept`."""
    webhook_url = checked_webhook_url(job.webhook_url, here.settings) if job.webhook_url is not None else None
    limits = here.settings.limits.model_copy(update=job.wanted)
    submission = Submission(job.question, limits, caller.tenant, caller.id, dict(job.metadata), webhook_url, job.parent)
    record, new = await here.service.accept(submission, key, job.model_dump_json().encode())
    if new:
        metrics.accepted()
    told = {**job.wanted, "replayed": not new}
    await here.noted("submit", caller.id, caller.tenant, record.job_id, told, request_id)
    return record, new


async def decide(here: Backend, caller: Caller, job_id: str, decision: DecisionRequest, request_id: str) -> Json:
    """Decide about the job's escalation. Raises as `Service.decide`."""
    answer = await here.service.decide(caller.tenant, job_id, decision.answer, decision.escalation_id, caller.id)
    await here.noted("decide", caller.id, caller.tenant, job_id, answer, request_id)
    return answer


async def cancel(here: Backend, caller: Caller, job_id: str, request_id: str) -> None:
    """Stop a job: with the scope cancel any of the tenant, else one's own. Raises Refused, or as `Service.cancel`."""
    record = await here.service.get(caller.tenant, job_id)
    if Scope.CANCEL not in caller.scopes and record.actor != caller.id:
        raise Refused("forbidden", "this needs a key with the scope cancel, or the key that submitted the job")
    await here.service.cancel(caller.tenant, job_id)
    await here.noted("cancel", caller.id, caller.tenant, job_id, None, request_id)


async def delete(here: Backend, caller: Caller, job_id: str, request_id: str) -> None:
    """Delete an ended job. Raises as `Service.delete`."""
    await here.service.delete(caller.tenant, job_id)
    await here.noted("delete", caller.id, caller.tenant, job_id, None, request_id)


async def requeue(here: Backend, caller: Caller, job_id: str, request_id: str) -> Record:
    """Requeue a dead letter. Raises as `Service.requeue`."""
    record = await here.service.requeue(caller.tenant, job_id)
    await here.noted("requeue", caller.id, caller.tenant, job_id, None, request_id)
    return record


async def discard(here: Backend, caller: Caller, job_id: str, request_id: str) -> Record:
    """Discard a dead letter. Raises as `Service.discard`."""
    record = await here.service.discard(caller.tenant, job_id)
    await here.noted("discard", caller.id, caller.tenant, job_id, None, request_id)
    return record
