"""What one job may use: every limit, declared once. `docs/limits.md` lists them.

Money is integer micro-dollars (1 USD = 1,000,000). Durations are seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Le
from pydantic import BaseModel, ConfigDict

from graphs.stop_reasons import ScopeName, StopReason

MICRO = 1_000_000
MOST_USD = 1000  # for a budget, and for what a human adds to one
MOST_S = 86_400  # of a deadline

OnLimit = Literal["escalate", "finish_partial", "fail"]


class Unit(NamedTuple):
    """The unit in which people state a limit. `Limits` holds `scale` times that number.

    `counter` is the field of `graphs.spending.spend` that counts it.
    """

    name: str
    scale: int = 1
    counter: str = ""


USD, HOURS, SECONDS = Unit("USD", MICRO, "micro_usd"), Unit("hours", 3600), Unit("seconds")
PERCENT, TOKENS, TIMES, PLANS = Unit("percent"), Unit("tokens"), Unit("times"), Unit("plans")
STEPS, HANDOFFS = Unit("steps", counter="steps"), Unit("hand-offs", counter="handoffs")
MODEL_CALLS, TOOL_CALLS = Unit("model calls", counter="model_calls"), Unit("tool calls", counter="tool_calls")


@dataclass(frozen=True)
class Limit(GroupedMetadata):
    """A limit's declaration, besides its name, default and docstring. Numbers are in the units of `Limits`.

    Attributes:
        setting: the field of `Settings` that changes the default.
        unit: the unit of the setting.
        scope: what the limit applies to.
        reason: the stop reason of a job that reaches it; None where work waits instead.
        most: the highest value of the setting.
        least: the lowest value of the setting.
        ceiling: the default for the most that a request or a human may raise it to; None where nobody may.
    """

    setting: str
    unit: Unit
    scope: ScopeName
    reason: StopReason | None
    most: int
    least: int = 1
    ceiling: int | None = None

    def __iter__(self) -> Iterator[BaseMetadata]:
        """The bounds that pydantic checks. `most` is only checked for percentages, because what humans grant adds
        up."""
        yield Ge(self.least)
        if self.unit is PERCENT:
            yield Le(self.most)

    @property
    def ceiling_setting(self) -> str:
        """The field of `Settings` that changes the ceiling."""
        stem, _, suffix = self.setting.rpartition("_")
        return f"{stem}_max_{suffix}"

    def in_unit(self, value: int) -> float:
        """A value of `Limits` in the unit of the setting."""
        return value if self.unit.scale == 1 else value / self.unit.scale

    def from_unit(self, value: float) -> int:
        """A value of the setting in the unit of `Limits`."""
        return round(value * self.unit.scale)

    def shown(self, value: int) -> str:
        """A value of `Limits` for people."""
        return dollars(value) if self.unit is USD else f"{self.in_unit(value):,} {self.unit.name}"


class Limits(BaseModel):
    """Every limit, cumulative over a job's resumes, and on by default.

    To add one, add a field here, and a line where it is enforced: in `ledger.lua`, the gate (`model.py`) or a node.
    Field names are stored in checkpoints.

    Raises pydantic.ValidationError for a value out of bounds.

    Example:
        limits = Limits(budget_micro_usd=250_000, deadline_s=300, model_calls=20)  # USD 0.25, 5 minutes
        limits.wrap_up_percent  # 80: every other limit has its default
        limits.above(CEILING)  # "" when this deployment's ceiling allows it, else why not
        raised = limits.model_copy(update={"budget_micro_usd": 500_000})  # limits are frozen
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # Money: reserved before each model call, so that none of these can be passed.
    budget_micro_usd: Annotated[
        int, Limit("job_budget_usd", USD, "job", StopReason.BUDGET, MOST_USD * MICRO, ceiling=MICRO)
    ] = 250_000
    """Budget of a job, in US dollars."""
    agent_share_percent: Annotated[
        int, Limit("agent_share_percent", PERCENT, "agent", StopReason.AGENT_BUDGET, 100)
    ] = 80
    """Percent of a job's budget that one agent may spend, so that some is left to the rest."""
    spend_per_minute_micro_usd: Annotated[
        int, Limit("spend_per_minute_usd", USD, "job_minute", StopReason.SPEND_RATE, MOST_USD * MICRO)
    ] = 150_000
    """The most a job may spend in one calendar minute; what does not fit waits for the next one."""
    tenant_day_micro_usd: Annotated[
        int, Limit("tenant_day_usd", USD, "tenant_day", StopReason.TENANT_DAY, 100_000 * MICRO)
    ] = 5_000_000
    """Budget of a tenant per UTC day."""
    deployment_day_micro_usd: Annotated[
        int, Limit("deployment_day_usd", USD, "deployment_day", StopReason.DEPLOYMENT_DAY, 1_000_000 * MICRO)
    ] = 20_000_000
    """Budget of all jobs, and of embeddings of documents, per UTC day."""
    tenant_share_percent: Annotated[
        int, Limit("tenant_share_percent", PERCENT, "tenant_day", StopReason.TENANT_DAY, 100)
    ] = 50
    """Percent of the budget of all jobs per UTC day that one tenant may spend."""
    report_share_percent: Annotated[int, Limit("report_share_percent", PERCENT, "job", StopReason.BUDGET, 50, 0)] = 15
    """Percent of a job's budget, at most, that is set aside for its report; less if the report costs less."""
    wrap_up_percent: Annotated[int, Limit("wrap_up_percent", PERCENT, "job", StopReason.BUDGET_WRAP_UP, 100)] = 95
    """Percent of a job's budget after which it writes its report from what it has."""
    children: Annotated[int, Limit("job_children", Unit("jobs"), "job", StopReason.CHILD_JOBS, 1000, 0)] = 8
    """Jobs that a job may give a part of its budget to."""
    depth: Annotated[int, Limit("job_depth", Unit("levels"), "job", StopReason.CHILD_JOBS, 20, 0)] = 3
    """Levels of jobs that live on one job's budget."""

    # One request.
    request_tokens: Annotated[
        int,
        Limit("request_tokens", TOKENS, "request", StopReason.REQUEST_SIZE, 2_000_000),
    ] = 200_000
    """Tokens one model call may read, in the worst case, and write."""
    answer_tokens: Annotated[
        int,
        Limit("answer_tokens", TOKENS, "request", StopReason.NO_USABLE_ANSWER, 200_000),
    ] = 8_192
    """Tokens one model call may write."""
    answer_floor_tokens: Annotated[int, Limit("answer_floor_tokens", TOKENS, "request", StopReason.BUDGET, 200_000)] = (
        512
    )
    """Tokens down to which that shrinks when the budget pays for no more; below, the call is not made."""
    call_timeout_s: Annotated[int, Limit("call_timeout_s", SECONDS, "request", StopReason.MODEL_UNAVAILABLE, 3600)] = 90
    """Seconds one model call may take."""
    outage_s: Annotated[int, Limit("outage_s", SECONDS, "request", StopReason.MODEL_UNAVAILABLE, 3600, 0)] = 90
    """Seconds a model call waits for a provider that is down; then a human is asked."""

    # Counts, of the job and of one agent in it.
    model_calls: Annotated[int, Limit("job_model_calls", MODEL_CALLS, "job", StopReason.MODEL_CALLS, 1000)] = 60
    """Model calls a job may make."""
    tool_calls: Annotated[int, Limit("job_tool_calls", TOOL_CALLS, "job", StopReason.TOOL_CALLS, 10_000)] = 100
    """Tool calls a job may make."""
    agent_model_calls: Annotated[
        int, Limit("agent_model_calls", MODEL_CALLS, "agent", StopReason.AGENT_MODEL_CALLS, 1000)
    ] = 20
    """Model calls one agent may make in a job."""
    agent_tool_calls: Annotated[
        int, Limit("agent_tool_calls", TOOL_CALLS, "agent", StopReason.AGENT_TOOL_CALLS, 1000)
    ] = 30
    """Tool calls one agent may make in a job."""
    handoffs: Annotated[int, Limit("job_handoffs", HANDOFFS, "job", StopReason.HANDOFFS, 200)] = 16
    """Hand-offs to agents a job may make."""
    parallel: Annotated[int, Limit("job_parallel", Unit("hand-offs at once"), "job", None, 50)] = 4
    """Hand-offs a job may make at once; the guards look at the work between them."""
    plans: Annotated[int, Limit("job_plans", PLANS, "job", StopReason.PLANS, 100)] = 6
    """Rounds of tasks a job may plan."""
    steps: Annotated[int, Limit("job_steps", STEPS, "job", StopReason.STEPS, 1000)] = 80
    """Graph steps a job may take."""

    # Wall clock: of the job, of one hand-off, and of a human's answer.
    deadline_s: Annotated[int, Limit("job_deadline_s", SECONDS, "job", StopReason.DEADLINE, MOST_S, ceiling=3600)] = 600
    """Time a job may take, in seconds."""
    agent_deadline_s: Annotated[int, Limit("agent_deadline_s", SECONDS, "agent", StopReason.AGENT_DEADLINE, 3600)] = 120
    """Seconds one hand-off may take."""
    decision_s: Annotated[int, Limit("decision_hours", HOURS, "job", StopReason.NO_DECISION, 8760 * 3600)] = 86_400
    """Hours that a job waits for a human's answer."""

    # Loops.
    repeats: Annotated[int, Limit("loop_repeats", TIMES, "job", StopReason.LOOP_IDENTICAL, 100, 2)] = 3
    """A request that is made this often, in the same or other words, with nothing new is a loop."""
    idle_handoffs: Annotated[int, Limit("loop_idle_handoffs", TIMES, "job", StopReason.LOOP_NO_PROGRESS, 100, 2)] = 5
    """This many hand-offs in a row, or tool calls of one agent, with nothing new are a loop."""

    on_limit: OnLimit = "escalate"

    def above(self, ceiling: "Limits") -> str:
        """Says which limit exceeds the ceiling first; empty if none does."""
        for name, limit in LIMITS.items():
            if (value := getattr(self, name)) > (most := getattr(ceiling, name)):
                what = name.removesuffix("_micro_usd").removesuffix("_s").replace("_", " ")
                return f"a {what} of {limit.shown(value)} is above the {limit.shown(most)} that this deployment allows"
        return ""


LIMITS: dict[str, Limit] = {name: each.metadata[0] for name, each in Limits.model_fields.items() if each.metadata}
CEILING = Limits(**{name: limit.ceiling for name, limit in LIMITS.items() if limit.ceiling})


def asked_for(budget_usd: Any = None, deadline_s: int | None = None, on_limit: OnLimit | None = None) -> dict[str, Any]:
    """The limits that a request sets, by name, without those that it leaves to the deployment."""
    budget = None if budget_usd is None else round(budget_usd * MICRO)
    given = {"budget_micro_usd": budget, "deadline_s": deadline_s, "on_limit": on_limit}
    return {name: value for name, value in given.items() if value is not None}


def dollars(micro_usd: int) -> str:
    """`USD 0.25`; small amounts have as many digits as needed: `USD 0.000123`."""
    exact = f"{micro_usd / MICRO:.6f}".rstrip("0")
    return f"USD {exact}" if len(exact.partition(".")[2]) >= 2 else f"USD {micro_usd / MICRO:.2f}"
