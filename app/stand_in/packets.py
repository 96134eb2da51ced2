"""The JSON that each role finds in its user message. What is missing or odd is read as absent."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.stand_in.wire import ChatRequest

Json = dict[str, Any]


class _Packet(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AgentInfo(_Packet):
    name: str
    does: str = ""


class TaskInfo(_Packet):
    id: str
    agent: str = ""
    objective: str = ""
    depends_on: list[str] = []
    status: str = "pending"
    gaps: list[str] = []
    findings: int = 0


class SupervisorPacket(_Packet):
    """What the supervisor decides on. `note` is a human's redirect."""

    question: str = ""
    agents: list[AgentInfo] = []
    tasks: list[TaskInfo] = []
    note: str | None = None
    may_assign: bool = True


class EvidenceInfo(_Packet):
    """A stored tool result: `preview` is the beginning of its text, `rows` how many rows it has in all."""

    id: str
    tool: str = ""
    title: str = ""
    columns: list[str] = []
    rows: int = 0
    arguments: Json = {}
    preview: str = ""


class FindingInfo(_Packet):
    agent: str = ""
    claim: str = ""
    value: float | None = None
    unit: str = ""
    period: str = ""
    evidence: list[str] = []
    confidence: str = "medium"


class SpecialistPacket(_Packet):
    """One task and what it may build on. `feedback` says which findings of an earlier attempt were refused."""

    question: str = ""
    task: TaskInfo = TaskInfo(id="T1")
    evidence: list[EvidenceInfo] = []
    findings: list[FindingInfo] = []
    feedback: list[str] = []

    @property
    def objective(self) -> str:
        return self.task.objective or self.question

    def about(self, objective: str) -> "SpecialistPacket":
        """The same with another objective."""
        return self.model_copy(update={"task": self.task.model_copy(update={"objective": objective})})


class ReportPacket(_Packet):
    """What the report may be written from."""

    question: str = ""
    findings: list[FindingInfo] = []
    gaps: list[str] = []
    charts: list[str] = []
    words: int = 1000
    stop_reason: str | None = None
    feedback: list[str] = []


PacketT = TypeVar("PacketT", SupervisorPacket, SpecialistPacket, ReportPacket)


def packet_of(request: ChatRequest, kind: type[PacketT]) -> PacketT:
    """The packet in the first user message that holds one; else the user's text taken as the question."""
    texts = [message.text for message in request.messages if message.role == "user"]
    for text in texts:
        try:
            return kind.model_validate(json.loads(text))
        except (ValidationError, ValueError, RecursionError):
            continue
    return kind(question="\n".join(texts))
