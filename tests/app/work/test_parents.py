"""Jobs that spend another job's money, or an outside agent's: set aside, counted there, and the rest goes back."""

import asyncio
import dataclasses
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.errors import BadInput, NoSuchJob
from app.running.processes import Addresses
from app.running.runtime import opened
from app.work.service import Service, Submission
from graphs.spending.limits import MICRO, Limits
from graphs.state import Json
from tests.app.queued import QUESTION, WAITS, Deployment, deployment, ended, order, submitted

PARENTS, CHILDS = 200_000, 50_000


def _child(here: Deployment, parent: str, tenant: str = "acme", budget: int = CHILDS) -> Submission:
    return dataclasses.replace(order(here.settings, tenant=tenant, budget_micro_usd=budget), parent=parent)


async def _amounts(service: Service, job_id: str) -> tuple[int, int]:
    used = await service.deps.ledger.spend(job_id)
    return used.micro_usd, used.reserved_micro_usd


@pytest.mark.slow
async def test_what_a_child_spends_its_ancestors_spend_and_the_rest_goes_back(
    tmp_path: Path, addresses: Addresses
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            budget = await service.jobs.budgets.create("acme", PARENTS)
            parent, _ = await submitted(service, _child(here, budget.id, budget=PARENTS // 2))
            child, _ = await submitted(service, _child(here, parent.job_id))
            assert await _amounts(service, budget.id) == (0, PARENTS // 2)
            assert await _amounts(service, parent.job_id) == (0, CHILDS)
            with here.worker():
                done = [await ended(service, each.job_id) for each in (child, parent)]
            spent, _ = await _amounts(service, child.job_id)
            whole, left = await _amounts(service, parent.job_id)
            assert [each.status for each in done] == ["completed"] * 2
            assert 0 < spent < CHILDS
            assert spent < whole
            assert left == 0
            assert await _amounts(service, budget.id) == (whole, 0)
            assert here.billed()[0] <= whole
            assert (await service.deps.ledger.spent_today("acme")).tenant.micro_usd == whole


async def test_a_parent_gives_no_more_than_it_has_and_no_further_than_allowed(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            narrow = order(here.settings, budget_micro_usd=PARENTS, children=3, depth=1)
            parent, _ = await submitted(service, narrow)
            for _ in range(2):
                child, _ = await submitted(service, _child(here, parent.job_id))
            with pytest.raises(BadInput, match=f"the parent {parent.job_id} does not pay for this job.*limit USD"):
                await submitted(service, _child(here, parent.job_id, budget=PARENTS))
            first, _ = await submitted(service, _child(here, parent.job_id), "key", b"same")
            again, new = await submitted(service, _child(here, parent.job_id), "key", b"same")
            assert (again.job_id, new) == (first.job_id, False)
            with pytest.raises(BadInput, match="3 of 3 jobs made"):
                await submitted(service, _child(here, parent.job_id, budget=1))
            below = Limits(**{**here.settings.limits.model_dump(), "depth": 1})
            await service.records.write(child.job_id, {"limits": below.model_dump()})
            with pytest.raises(BadInput, match="1 of 1 levels"):
                await submitted(service, _child(here, child.job_id, budget=1))
            assert await _amounts(service, parent.job_id) == (0, 3 * CHILDS)
            for unknown in (_child(here, parent.job_id, "other"), _child(here, f"budget-{'0' * 32}")):
                with pytest.raises(NoSuchJob):
                    await submitted(service, unknown)
            await service.records.write(parent.job_id, {"status": "completed"})
            with pytest.raises(BadInput, match="has ended"):
                await submitted(service, _child(here, parent.job_id))


async def test_a_parent_that_a_human_gave_more_gives_more(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses
) -> None:
    async with opened(settings, redis_url, addresses, warn=lambda _: None) as jobs:
        parent = await jobs.create(QUESTION, Limits(budget_micro_usd=2_000))
        assert (await jobs.run(parent, lambda _: None)).status == "awaiting_human"
        goes_on = asyncio.Event()

        def seen(event: Json) -> None:
            if event["type"] == "model_call":
                goes_on.set()

        answer = {"action": "approve_more", "amount_usd": PARENTS / MICRO}
        deciding = asyncio.create_task(jobs.decide(parent, answer, seen))
        await goes_on.wait()
        await jobs.create(QUESTION, Limits(budget_micro_usd=CHILDS), parent=parent)
        assert (await deciding).status == "completed"


@pytest.mark.slow
async def test_a_cancelled_parent_s_children_stop_and_spend_no_more(tmp_path: Path) -> None:
    """Neither has a server to ask, so a run of either waits for them, or for a human."""
    with deployment(tmp_path, latency_ms=400) as here:
        async with here.service() as service:
            parent, _ = await submitted(service, order(here.settings))
            child, _ = await submitted(service, _child(here, parent.job_id))
            grandchild, _ = await submitted(service, _child(here, child.job_id, budget=CHILDS // 2))
            await service.cancel("acme", parent.job_id)
            with here.worker():
                stopped = [await ended(service, each.job_id, also=WAITS) for each in (parent, child, grandchild)]
            assert [each.status for each in stopped] == ["cancelled"] * 3
            assert (await _amounts(service, parent.job_id))[1] == 0
