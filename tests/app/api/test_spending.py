"""What a day's money went to: a tenant sees its own, an admin all."""

from datetime import UTC, datetime, timedelta

from app.access.keys import Scope
from app.work.spending import DAYS_KEPT, SpendDocument
from graphs.spending.limits import MICRO
from graphs.spending.parts import EMBEDDING, MODEL, TOOL
from graphs.spending.spend import Account, Tokens
from tests.app.api.in_process import QUESTION, Api
from tests.app.api.test_conformance import problem


async def charged(api: Api, job: str, tenant: str, agent: str, item: str, micro_usd: int, *used: object) -> None:
    deps, call = api.service.deps, f"{job}/{agent}/{item}"
    account = Account(job, tenant, agent, deps.limits, deps.now() + timedelta(hours=1))
    await deps.ledger.reserve(call, account, micro_usd, expires_in_s=60, item=item)
    await deps.ledger.settle(call, micro_usd, *used)  # type: ignore[arg-type]


async def spend_of(api: Api, *scopes: Scope, **asked: str) -> SpendDocument:
    async with api.client(await api.key(*scopes)) as client:
        answer = await client.get("/v1/spend", params=asked)
        assert answer.status_code == 200, answer.text
    return SpendDocument.model_validate_json(answer.content)


async def test_a_day_is_told_by_agent_model_tool_and_job(api: Api) -> None:
    job = await api.service.jobs.create(QUESTION, api.backend.settings.limits, "acme")
    await charged(api, job, "acme", "sales", MODEL + "large", 50_000, Tokens(100_000, 9_000, 5), 7)
    await charged(api, "job-gone", "acme", "sales", MODEL + "small", 2_000, Tokens(10, 0, 1))
    await charged(api, job, "acme", "web", TOOL + "web.search", 5_000)
    await charged(api, "job-other", "other", "sales", MODEL + "large", 90_000)
    ledger = api.service.deps.ledger
    await ledger.reserve_for_the_day("passages", 3_000, MICRO, expires_in_s=60, item=EMBEDDING + "words")
    await ledger.settle("passages", 3_000)

    found = await spend_of(api, Scope.READ)
    assert found.deployment is None
    ours = found.tenant
    assert (ours.spent_usd, ours.reserved_usd, ours.saved_usd) == (0.057, 0, 0.000007)
    assert [(each.name, each.cost_usd) for each in ours.agents] == [("sales", 0.052), ("web", 0.005)]
    assert [(each.name, each.cost_usd, each.input_tokens) for each in ours.models] == [
        ("large", 0.05, 100_000),
        ("small", 0.002, 10),
    ]
    assert [(each.name, each.cost_usd) for each in ours.tools] == [("web.search", 0.005)]
    assert [(each.id, each.question, each.cost_usd) for each in ours.jobs] == [
        (job, QUESTION, 0.055),
        ("job-gone", "", 0.002),
    ]
    assert (ours.embeddings, ours.tenants) == ([], [])
    assert round(sum(each.cost_usd for each in ours.quarters), 6) == 0.057
    assert [each.about for each in ours.suggestions] == ["cache"]

    all_of_it = (await spend_of(api, Scope.READ, Scope.ADMIN)).deployment
    assert all_of_it
    assert all_of_it.spent_usd == 0.15
    assert [(each.name, each.cost_usd) for each in all_of_it.tenants] == [("other", 0.09), ("acme", 0.057), ("", 0.003)]
    assert [(each.name, each.cost_usd) for each in all_of_it.embeddings] == [("words", 0.003)]
    assert all_of_it.jobs == []


async def test_only_an_admin_sees_other_tenants(api: Api) -> None:
    await charged(api, "job-other", "other", "sales", MODEL + "large", 900)
    async with api.client(await api.key(Scope.READ)) as client:
        problem(await client.get("/v1/spend", params={"tenant": "other"}), "forbidden")
        assert (await client.get("/v1/spend", params={"tenant": "acme"})).json()["tenant"]["spent_usd"] == 0
    found = await spend_of(api, Scope.READ, Scope.ADMIN, tenant="other")
    assert [each.id for each in found.tenant.jobs] == ["job-other"]


async def test_any_day_that_is_kept_can_be_asked_for(api: Api) -> None:
    await charged(api, "job-today", "acme", "sales", MODEL + "large", 900)
    today = datetime.now(UTC).date()
    before = await spend_of(api, Scope.READ, day=str(today - timedelta(days=1)))
    assert (before.tenant.spent_usd, before.tenant.models, before.tenant.projection) == (0, [], None)
    assert (await spend_of(api, Scope.READ, day=str(today))).tenant.spent_usd == 0.0009
    async with api.client(await api.key(Scope.READ)) as client:
        for wrong in (today + timedelta(days=1), today - timedelta(days=DAYS_KEPT + 1), "yesterday"):
            problem(await client.get("/v1/spend", params={"day": str(wrong)}), "invalid")
