"""The classic disasters of multi-agent systems, as data.

The kinds are the clusters of the study of 63 budget overruns in 21 frameworks (S. Khan, arXiv 2606.04056); what is no
overrun has the kind `no overrun`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import sample
from evals.incident import proofs
from evals.incident.naive import HOUSE_MODEL, NONE, Habits
from evals.incident.proofs import Proof
from graphs.stop_reasons import StopReason

REVENUE = "How did our revenue develop from 2023 to 2025, by channel?"
BOTH = sample.QUESTION
CUSTOMERS = "Who were our top five customers in 2024?"
BUDGET = Decimal("0.05")


class Kind(StrEnum):
    """What lets the money go; the values are the study's names without their prefix `M-`."""

    RETRIES = "retry loop"
    FAN_OUT = "delegation fan-out"
    CONTEXT = "context amplification"
    DROPPED = "provider option dropped"
    UNSEEN = "cost observability"
    NO_CAP = "budget primitive missing"
    OTHER = "no overrun"


Course = Literal["once", "killed", "approved", "cancelled"]


@dataclass(frozen=True)
class Drill:
    """One disaster.

    `profile` and `dialect` are the stand-in's (none: it behaves), `faults` are those of MCP servers by server name,
    `neighbours` is how many other clients use those servers meanwhile. `course` is what people do to both runs: they
    are killed with SIGKILL and started again, or cancelled, after so many calls of each start (`strikes`, of the run
    without guards and of the guarded one), or every question is answered with yes.

    `habits` is what the team without guards does for itself, `calls` and `seconds` end its run. `settings` and
    `on_limit` are of the guarded job, which has `budget_usd` and `deadline_s`. The guard has fired if it ends for one
    of `reasons` (none: it is never started) and `proof` finds no fault.
    """

    name: str
    kind: Kind
    question: str
    reasons: tuple[StopReason, ...]
    proof: Proof
    profile: str = "honest"
    dialect: str = "plain"
    faults: Mapping[str, str] = field(default_factory=dict)
    neighbours: int = 0
    course: Course = "once"
    strikes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    habits: Habits = NONE
    calls: int = 100
    seconds: float = 180
    settings: Mapping[str, str] = field(default_factory=dict)
    on_limit: str = "escalate"
    budget_usd: Decimal = BUDGET
    deadline_s: int = 120


R = StopReason
SPENT = (R.BUDGET, R.BUDGET_WRAP_UP, R.AGENT_BUDGET)
CAPPED = Habits(cap_usd=BUDGET)
# So that money is what runs out.
MANY_CALLS = {"TOLLGATE_AGENT_MODEL_CALLS": "60"}

DRILLS = (
    # Two agents ask each other for clarification, in ever new words.
    Drill("infinite loop", Kind.RETRIES, REVENUE, (R.LOOP_PING_PONG,), proofs.few_handoffs, profile="clarify"),
    # Every answer is too long and is cut in the middle; the half must not be taken for the whole.
    Drill("context truncation", Kind.NO_CAP, REVENUE, (R.PLAN_FAILED,), proofs.no_half_answer, profile="huge"),
    # One server is down. Its agent fails, and takes the others and all their findings with it.
    Drill("cascade failure", Kind.OTHER, BOTH, (R.SOURCE_UNAVAILABLE,), proofs.contained, faults={"sales": "burst"}),
    # An agent claims to be done, with a number that is in no data.
    Drill("silent failure", Kind.OTHER, REVENUE, (R.FINDINGS_DROPPED,), proofs.nothing_made_up, profile="empty"),
    # An agent fetches ever more rows, and each call pays for all of them again. That many calls fit the model's
    # context.
    Drill("token explosion", Kind.CONTEXT, CUSTOMERS, SPENT, proofs.share_kept, profile="hoarder", calls=18),
    # Two tasks wait for each other.
    Drill(
        "coordination deadlock",
        Kind.OTHER,
        BOTH,
        (R.PLAN_FAILED,),
        proofs.refused_at_once,
        profile="deadlock",
        seconds=10,
    ),
    # A server that needs 400 ms for one client has ten. Opening a session takes 12 s of the 18, an answer 20.
    Drill(
        "works on my machine",
        Kind.OTHER,
        REVENUE,
        (R.DEADLINE,),
        proofs.one_session,
        faults={"sales": "crowded"},
        neighbours=9,
        seconds=18,
        deadline_s=18,
    ),
    # Twelve tasks begin at once. All of them read the counter before any of them has added to it.
    Drill(
        "fan-out race",
        Kind.FAN_OUT,
        CUSTOMERS,
        SPENT,
        proofs.within_budget,
        profile="crowd",
        habits=Habits(cap_usd=BUDGET, counter="state"),
        calls=200,
        settings=MANY_CALLS,
    ),
    # An agent never has enough. The counter is the supervisor's, and agents hand it words.
    Drill(
        "cap not seen by sub-agents",
        Kind.FAN_OUT,
        CUSTOMERS,
        SPENT,
        proofs.within_budget,
        profile="verbose",
        habits=Habits(cap_usd=BUDGET, counter="supervisor"),
        calls=25,
        settings=MANY_CALLS,
    ),
    # Every connection breaks in mid-answer, which is billed. Three tries of the client, times three of the node.
    Drill(
        "retry storm",
        Kind.RETRIES,
        CUSTOMERS,
        (R.MODEL_UNAVAILABLE,),
        proofs.few_tries,
        profile="severed",
        habits=CAPPED,
    ),
    # The process is killed close to its cap, and started again by whoever watches over it.
    Drill(
        "counter lost in a crash",
        Kind.UNSEEN,
        CUSTOMERS,
        (*SPENT, R.DEADLINE),  # the dead process's reservation is waited for
        proofs.counted_after_death,
        profile="verbose",
        course="killed",
        strikes=((9,), (3,)),
        habits=CAPPED,
        settings=MANY_CALLS | {"TOLLGATE_LEASE_S": "1"},
        deadline_s=40,
    ),
    # A human approves plans and results. LangGraph drops what an interrupted node would have added to the counter, and
    # runs it again: a model that the node calls is paid twice, an agent's work is kept and never counted.
    Drill(
        "resumed spend not counted",
        Kind.UNSEEN,
        BOTH,
        (R.ANSWERED,),
        proofs.counted_once,
        course="approved",
        habits=Habits(cap_usd=BUDGET, counter="state", asks_a_human=True),
        settings={"TOLLGATE_JOB_STEPS": "10"},
    ),
    # The configured model is on nobody's price list.
    Drill(
        "unpriced model counted as zero",
        Kind.UNSEEN,
        CUSTOMERS,
        (),
        proofs.refused_by_name,
        profile="verbose",
        habits=Habits(cap_usd=BUDGET, model=HOUSE_MODEL),
        calls=25,
        settings={"TOLLGATE_MODEL": HOUSE_MODEL},
    ),
    # The provider tells no usage; the client, which streams, would not even ask for it.
    Drill(
        "streamed usage lost",
        Kind.UNSEEN,
        CUSTOMERS,
        SPENT,
        proofs.assumed_spent,
        profile="verbose_no_usage",
        habits=Habits(cap_usd=BUDGET, streaming=True),
        calls=25,
        settings=MANY_CALLS,
    ),
    # A limit on calls is no limit on money: each call sends all that was read before once more.
    Drill(
        "context replay",
        Kind.CONTEXT,
        CUSTOMERS,
        (*SPENT, R.AGENT_MODEL_CALLS, R.MODEL_CALLS),
        proofs.short_history,
        profile="curious",
        habits=Habits(calls_of_an_agent=20),
        settings={"TOLLGATE_AGENT_MODEL_CALLS": "20", "TOLLGATE_SPEND_PER_MINUTE_USD": "1"},
        budget_usd=Decimal("0.25"),
    ),
    # The server does not know the newer name of the limit on answers, and says nothing.
    Drill(
        "answer limit dropped",
        Kind.DROPPED,
        REVENUE,
        (R.PLAN_FAILED,),
        proofs.limit_kept,
        profile="huge",
        dialect="ollama",
        habits=Habits(answer_tokens=1000),
    ),
    # The job runs in a thread, and its caller stops waiting.
    Drill(
        "orphaned after cancel",
        Kind.NO_CAP,
        CUSTOMERS,
        (R.CANCELLED,),
        proofs.silent_after_cancel,
        profile="verbose",
        course="cancelled",
        strikes=((5,), (3,)),
        calls=20,
        settings=MANY_CALLS,
    ),
    # The cap works: it raises an error, and all that was paid for is gone.
    Drill(
        "cap leaves no result",
        Kind.NO_CAP,
        BOTH,
        SPENT,
        proofs.findings_reported,
        profile="verbose",
        habits=CAPPED,
        settings=MANY_CALLS,
        on_limit="finish_partial",
    ),
)
