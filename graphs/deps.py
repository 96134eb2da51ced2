"""What the graph is handed: built by the app (or a test), passed down, never looked up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from langchain_core.language_models import BaseChatModel

from agents import AGENTS
from agents.base import AgentSpec
from graphs.evidence import EvidenceStore
from graphs.governance.limits import JobLimits
from graphs.governance.meter import Price
from graphs.governance.tools import ToolGateway


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deps:
    """Everything outside the state.

    `supervisor_model` plans on a cheap tier, `model` does the work and writes the report. `limits` apply to a job
    that brings none of its own. `now` is UTC.
    """

    supervisor_model: BaseChatModel
    model: BaseChatModel
    gateway: ToolGateway
    evidence: EvidenceStore
    price: Price
    limits: JobLimits = field(default_factory=JobLimits)
    agents: tuple[AgentSpec, ...] = AGENTS
    now: Callable[[], datetime] = _now
