"""The seven classic disasters of multi-agent systems, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sample
from evals.incident import proofs
from evals.incident.proofs import Proof
from graphs.stop_reasons import StopReason

REVENUE = "How did our revenue develop from 2023 to 2025, by channel?"
BOTH = sample.QUESTION
CUSTOMERS = "Who were our top five customers in 2024?"


@dataclass(frozen=True)
class Drill:
    """One disaster.

    `profile` is the stand-in's fault (none: it behaves), `faults` are those of MCP servers by server name, `neighbours`
    is how many other clients use those servers meanwhile. `calls` and `seconds` end the run without guards;
    `deadline_s` is the guarded job's. The guard has fired if the guarded job ends for `reason` and `proof` finds no
    fault.
    """

    name: str
    question: str
    reason: StopReason
    proof: Proof
    profile: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    neighbours: int = 0
    calls: int = 100
    seconds: float = 60
    deadline_s: int = 60


DRILLS = (
    # Two agents ask each other for clarification, in ever new words.
    Drill("infinite loop", REVENUE, StopReason.LOOP_PING_PONG, proofs.few_handoffs, profile="clarify"),
    # Every answer is too long and is cut in the middle; the half must not be taken for the whole.
    Drill("context truncation", REVENUE, StopReason.PLAN_FAILED, proofs.no_half_answer, profile="huge"),
    # One server is down. Its agent fails, and takes the others and all their findings with it.
    Drill("cascade failure", BOTH, StopReason.SOURCE_UNAVAILABLE, proofs.contained, faults={"sales": "burst"}),
    # An agent claims to be done, with a number that is in no data.
    Drill("silent failure", REVENUE, StopReason.FINDINGS_DROPPED, proofs.nothing_made_up, profile="empty"),
    # An agent fetches ever more rows, and each call pays for all of them again. That many calls fit the model's
    # context.
    Drill("token explosion", CUSTOMERS, StopReason.AGENT_BUDGET, proofs.share_kept, profile="hoarder", calls=18),
    # Two tasks wait for each other.
    Drill(
        "coordination deadlock", BOTH, StopReason.PLAN_FAILED, proofs.refused_at_once, profile="deadlock", seconds=10
    ),
    # A server that needs 400 ms for one client has ten. Opening a session takes 12 s of the 18, an answer 20.
    Drill(
        "works on my machine",
        REVENUE,
        StopReason.DEADLINE,
        proofs.one_session,
        faults={"sales": "crowded"},
        neighbours=9,
        seconds=18,
        deadline_s=18,
    ),
)
