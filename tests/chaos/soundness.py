"""What must hold for every job, whatever died meanwhile."""

from collections.abc import Sequence

from app.jobs.states import TERMINAL
from app.work.service import Service
from tests.app.queued import Deployment


async def assert_sound(here: Deployment, service: Service, job_ids: Sequence[str]) -> None:
    """Every job has ended, was paid once, told without a gap, and leaves nothing for ever."""
    await assert_told(service, job_ids)
    await _paid_as_billed(here, service, job_ids)


async def assert_told(service: Service, job_ids: Sequence[str]) -> None:
    """Every job has ended, was told without a gap, and leaves nothing for ever."""
    for job_id in job_ids:
        assert (await service.records.get(job_id)).status in TERMINAL
        await _told_without_a_gap(service, job_id)
    await _leaves_nothing_for_ever(service)


async def _told_without_a_gap(service: Service, job_id: str) -> None:
    events = await service.log.read(job_id, most=5000)
    assert [int(each.id.partition("-")[2]) for each in events] == list(range(1, len(events) + 1))
    finished: set[str] = set()
    for each in events:
        if each.type == "task_finished":
            finished.add(each.data["id"])
        if each.type == "task_started":
            assert each.data["task"] not in finished, "a finished task was begun again"
    ends = [each.data["status"] for each in events if each.ends]
    assert len(ends) == 1, "the end of a job is told once"


async def _paid_as_billed(here: Deployment, service: Service, job_ids: Sequence[str]) -> None:
    """The ledger knows every call on the invoice. Of a call that a process took with it, it charges the worst case."""
    spends = [await service.deps.ledger.spend(job_id) for job_id in job_ids]
    billed, calls = here.billed()
    charged = sum(each.micro_usd for each in spends)
    estimated = sum(each.estimated_micro_usd for each in spends)
    reserved = sum(each.reserved_micro_usd for each in spends)
    assert charged - estimated <= billed + calls
    assert billed <= charged + reserved
    if not estimated and not reserved:
        assert abs(charged - billed) <= calls, "rounded up to whole micro-dollars, call by call"


async def _leaves_nothing_for_ever(service: Service) -> None:
    """But for the audit trail, whose entries leave by age, every key has a time to live."""
    client = service.client
    keys = [key.decode() async for key in client.scan_iter()]
    eternal = {key for key in keys if await client.ttl(key) == -1}
    assert eternal - {"tollgate:{audit}:log"} == set()
