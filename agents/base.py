"""The types that agents, graph and reports share: what an agent is, what it is asked, what it answers.

Every model here is frozen and made of JSON primitives, so that it can be checkpointed.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator

PROMPTS = Path(__file__).parent / "prompts"

Confidence = Literal["high", "medium", "low"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentSpec(_Frozen):
    """One agent, as data.

    Attributes:
        name: unique; its prompt is `agents/prompts/<name>.md`.
        does: what the supervisor chooses it by.
        tools: MCP tools as `server.tool`, or `server.*` for all tools of a server.
        optional_tools: further tools, if their server runs.
        briefing: those of its tools, without arguments, whose results it gets with each task: what data there are.
        works_on_evidence: it looks nothing up; its sources are the findings of other tasks.

    Example:
        LIBRARIAN = AgentSpec(
            name="librarian",
            does="Finds prices in the library's own price lists.",
            tools=("knowledge_base.search", "crm.*"),
        )  # in agents/librarian.py; then add it to AGENTS in agents/__init__.py
    """

    name: str = Field(pattern=r"^[a-z][a-z_]{1,30}$")
    does: str = Field(min_length=20, max_length=300)
    tools: tuple[str, ...] = Field(min_length=1)
    optional_tools: tuple[str, ...] = ()
    briefing: tuple[str, ...] = ()
    works_on_evidence: bool = False

    def where(self, servers: Collection[str]) -> Self:
        """The agent for a deployment with these MCP servers: with the optional tools that they have."""
        more = tuple(tool for tool in self.optional_tools if _server(tool) in servers)
        return self.model_copy(update={"tools": self.tools + more, "optional_tools": ()})

    @property
    def prompt(self) -> str:
        """The system prompt: `agents/prompts/<name>.md`, then what `prompts/servers/` has for its servers."""
        own = (PROMPTS / f"{self.name}.md").read_text(encoding="utf-8")
        servers = dict.fromkeys(_server(tool) for tool in self.tools)
        files = (PROMPTS / "servers" / f"{server}.md" for server in servers)
        return own + "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


def _server(tool: str) -> str:
    return tool.partition(".")[0]


class Task(_Frozen):
    """One step of the plan: what one agent has to find out, and which tasks must be done first."""

    id: str = Field(pattern=r"^T[1-9][0-9]?$", description="T1, T2, ...")
    agent: str = Field(description="name of the agent that does it")
    objective: str = Field(min_length=3, max_length=1000, description="what to find out, complete in itself")
    depends_on: list[str] = Field(max_length=12, description="ids of tasks whose evidence this one needs; [] for none")


class SupervisorDecision(_Frozen):
    """What the supervisor wants next: more tasks done, or the report written."""

    action: Literal["assign", "report"]
    reason: str = Field(description="one sentence")
    tasks: list[Task] = Field(max_length=12, description="new tasks for `assign`; [] for `report`")
    then: Literal["report", "decide"] = Field(
        default="decide", description="what follows if every task has findings and none has gaps"
    )


class Finding(_Frozen):
    """One claim with the evidence that supports it.

    `value` is the number of the claim in `unit` (EUR, %, cars, ...), or null for a claim without one.
    """

    claim: str = Field(min_length=3, max_length=600, description="one sentence, numbers as in the evidence")
    value: FiniteFloat | None
    unit: str = Field(max_length=60)
    period: str = Field(max_length=60, description="2024, 2024-Q3, 2022 to 2025, ...; empty when it has none")
    evidence: list[str] = Field(
        max_length=12, description="ids of the evidence that contains every number of the claim"
    )
    confidence: Confidence

    @field_validator("evidence")
    @classmethod
    def _ids(cls, ids: list[str]) -> list[str]:
        return [each.strip("[] ") for each in ids]


class AgentResult(_Frozen):
    """An agent's answer to one task. `gaps` says what could not be found, one sentence each."""

    findings: list[Finding] = Field(max_length=30)
    gaps: list[str] = Field(max_length=30)


class ReportDraft(_Frozen):
    """The report as the model writes it. Citations are evidence ids in brackets: `[E3]`, `[E3, E5]`."""

    title: str = Field(min_length=3, max_length=160)
    body: str = Field(description="Markdown; every sentence with a number ends in the evidence ids it rests on")
