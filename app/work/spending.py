"""What a day's money went to, and what is to be expected, as documents for the API, the console and the command line.

Money is in US dollars, exact in micro-dollars. Days are UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import floor

from pydantic import BaseModel, Field

from app.errors import BadInput
from app.jobs.records import Record
from graphs.clock import end_of_day
from graphs.spending.days import deployment_limit, tenant_limit
from graphs.spending.ledger import DAY_TTL_SECONDS
from graphs.spending.limits import MICRO, Limits, dollars
from graphs.spending.parts import EMBEDDING, MODEL, SLOT_S, TOOL, DayParts, ItemSpend

DAY_S = 86_400
DAYS_KEPT = DAY_TTL_SECONDS // DAY_S
RECENT_SLOTS = 4  # whole ones, before the one that runs: the last hour, or a little more


class Part(BaseModel):
    """A part of a day's spend. The name is empty for what no job asked for: embeddings of documents."""

    name: str
    cost_usd: float


class ModelPart(Part):
    """A model's part. `input_tokens` include `cached_tokens`, which would have cost `saved_usd` more."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    saved_usd: float


class JobPart(BaseModel):
    """What a job has spent on that day. The question is empty when the job is not kept any more."""

    id: str
    question: str
    cost_usd: float


class Quarter(BaseModel):
    """What the calls cost that began in the quarter of an hour from `at` on."""

    at: datetime
    cost_usd: float


class Projection(BaseModel):
    """What will have been spent at the end of the day, if it goes on like today so far, and like in the last hour.

    Rounded to two digits; never above the limit, which no call passes. `limit_at` is when the dearer of the two reaches
    it.
    """

    low_usd: float
    high_usd: float
    limit_at: datetime | None
    basis: str


class Suggestion(BaseModel):
    """What could cost less, computed from the record."""

    about: str = Field(examples=["cache", "prompts", "repeated calls"])
    text: str


class Spending(BaseModel):
    """A day's spend, what calls in flight may cost on top, the day's limit, and the parts of what was spent.

    Each of the lists adds up to `spent_usd`, `models`, `tools` and `embeddings` together, but for `tenants` and `jobs`,
    which are the dearest, and for days of an earlier version. A day has at most 64 names of a kind; the rest is
    `other`. Without spend there is no projection, nor for a day that is over.
    """

    tenant: str | None = Field(description="null: the deployment, which is all tenants.")
    spent_usd: float
    reserved_usd: float
    limit_usd: float
    saved_usd: float = Field(description="What the cached tokens of prompts would have cost more.")
    agents: list[Part]
    models: list[ModelPart]
    tools: list[Part]
    embeddings: list[Part]
    tenants: list[Part] = Field(description="The dearest, of the deployment.")
    jobs: list[JobPart] = Field(description="The dearest, of a tenant.")
    quarters: list[Quarter] = Field(description="Those with spend.")
    projection: Projection | None
    suggestions: list[Suggestion]


class SpendDocument(BaseModel):
    """A day's spend. `deployment` is included for keys with the scope admin."""

    day: date
    tenant: Spending
    deployment: Spending | None


def checked_day(day: date | None, today: date) -> date:
    """The day, by default today. Raises BadInput for one that is not kept."""
    if day is None:
        return today
    if not today - timedelta(days=DAYS_KEPT) <= day <= today:
        raise BadInput(
            f"day: there is no spend of {day}; give a day of the last {DAYS_KEPT}, in UTC, or none for today"
        )
    return day


def spending(
    parts: DayParts, tenant: str | None, day: date, limits: Limits, now: datetime, jobs: Sequence[Record] = ()
) -> Spending:
    """The document of a day's parts, without suggestions; `jobs` are records of the dearest."""
    amount = parts.spend.deployment if tenant is None else parts.spend.tenant
    limit = (deployment_limit if tenant is None else tenant_limit)(parts.spend, limits)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    models, questions = parts.of(MODEL), {each.job_id: each.question for each in jobs}
    dearest = _parts(parts.dearest)
    return Spending(
        tenant=tenant,
        spent_usd=amount.micro_usd / MICRO,
        reserved_usd=amount.reserved_micro_usd / MICRO,
        limit_usd=limit / MICRO,
        saved_usd=sum(each.saved_micro_usd for each in models.values()) / MICRO,
        agents=_parts(parts.agents),
        models=[_model(name, models[name]) for name in sorted(models, key=lambda each: -models[each].micro_usd)],
        tools=_parts({name: each.micro_usd for name, each in parts.of(TOOL).items()}),
        embeddings=_parts({name: each.micro_usd for name, each in parts.of(EMBEDDING).items()}),
        tenants=dearest if tenant is None else [],
        jobs=[]
        if tenant is None
        else [JobPart(id=each.name, question=questions.get(each.name, ""), cost_usd=each.cost_usd) for each in dearest],
        quarters=[
            Quarter(at=midnight + timedelta(seconds=slot * SLOT_S), cost_usd=cost / MICRO)
            for slot, cost in sorted(parts.slots.items())
        ],
        projection=projected(parts.slots, amount.micro_usd, limit, now) if now < end_of_day(midnight) else None,
        suggestions=[],
    )


def projected(slots: Mapping[int, int], spent: int, limit: int, now: datetime) -> Projection | None:
    """The projection to the end of the day, from micro-dollars by quarter of an hour; None if there is too little to
    tell from: no spend, or less than a quarter of an hour."""
    elapsed = DAY_S - (end_of_day(now) - now).total_seconds()
    if elapsed < SLOT_S or not spent:
        return None
    first = max(0, floor(elapsed / SLOT_S) - RECENT_SLOTS)
    recent, recent_s = sum(cost for slot, cost in slots.items() if slot >= first), elapsed - first * SLOT_S
    low, high = sorted((spent / elapsed, recent / recent_s))
    reached_s = (limit - spent) / high
    return Projection(
        low_usd=_expected(spent, spent + low * (DAY_S - elapsed), limit),
        high_usd=_expected(spent, spent + high * (DAY_S - elapsed), limit),
        limit_at=_minute(now + timedelta(seconds=reached_s)) if 0 <= reached_s < DAY_S - elapsed else None,
        basis=(
            f"{dollars(spent)} since 00:00 UTC, {dollars(recent)} in the last {round(recent_s / 60)} minutes; "
            "each pace goes on until 24:00 UTC, or until the limit"
        ),
    )


def _expected(spent: int, total: float, limit: int) -> float:
    return max(spent / MICRO, min(limit / MICRO, float(f"{total / MICRO:.2g}")))


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _parts(costs: Mapping[str, int]) -> list[Part]:
    """The dearest first."""
    dearest = sorted(costs, key=lambda name: (-costs[name], name))
    return [Part(name=name, cost_usd=costs[name] / MICRO) for name in dearest if costs[name]]


def _model(name: str, used: ItemSpend) -> ModelPart:
    tokens = used.model_dump(include={"input_tokens", "cached_tokens", "output_tokens"})
    return ModelPart(name=name, cost_usd=used.micro_usd / MICRO, saved_usd=used.saved_micro_usd / MICRO, **tokens)
