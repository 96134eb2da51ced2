"""What a job's events tell so far, as the console shows it: tasks, calls, spend, who works now. Pure, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from app.jobs.events import Event
from app.jobs.narration import Line, told
from graphs.state import Json

AT_WORK = {"running": "supervisor", "awaiting_human": "escalate"}  # the node of the graph, by the job's status
NEXT = {"plan": "budget", "verified": "supervisor", "report": "verify_report", "decision": "supervisor"}


class Call(NamedTuple):
    """A call of a model or a tool, or an attempt at one. `ends` is in seconds after the job's first event; money in
    micro-dollars. `size` is the prompt's or the result's, in bytes."""

    kind: str
    agent: str
    name: str
    ends: float
    seconds: float
    micro_usd: int = 0
    reserved: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    size: int = 0
    evidence: str = ""
    cached: bool = False
    error: str = ""

    @property
    def starts(self) -> float:
        """Seconds after the job's first event."""
        return max(0.0, self.ends - self.seconds)


class Told(NamedTuple):
    """A line of the log. `at` is UTC."""

    at: datetime
    line: Line


@dataclass
class Story:
    """The events of one job, read in order."""

    last: str = "0"
    began: datetime | None = None
    seconds: float = 0.0
    count: int = 0
    tasks: dict[str, Json] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    lines: list[Told] = field(default_factory=list)
    talk: list[tuple[str, str, str]] = field(default_factory=list)  # who, to whom, what: for the sequence diagram
    status: str = ""
    node: str = ""
    gone: int = 0  # events that the log no longer had

    def read(self, events: Iterable[Event]) -> None:
        """Add events that follow on those read so far."""
        for event in events:
            self._add(event.data)
            number = int(event.id.partition("-")[2])
            self.gone += number - int(self.last.partition("-")[2] or 0) - 1
            self.last = event.id

    @property
    def at_work(self) -> list[str]:
        """The nodes of the graph at work: agents with open tasks, else the one that follows the last event."""
        agents = {each["agent"] for each in self.tasks.values() if each["status"] == "running"}
        return sorted(agents) or ([self.node] if self.node else [])

    @property
    def agents(self) -> list[str]:
        """Everybody who made a call, in order of appearance."""
        return list(dict.fromkeys(each.agent for each in self.calls))

    def _add(self, event: Json) -> None:
        at = datetime.fromisoformat(event["at"])
        self.began = self.began or at
        self.seconds = (at - self.began).total_seconds()
        self.count += 1
        self.lines += [Told(at, line) for line in told(event)]
        kind = event["type"]
        self.node = NEXT.get(kind, self.node)
        if (read := getattr(self, f"_{kind}", None)) is not None:
            read(event)

    def _job(self, event: Json) -> None:
        self.status = event.get("status", self.status)
        self.node = AT_WORK.get(self.status, "")
        if self.status != "running":
            for task in self.tasks.values():
                task["status"] = "pending" if task["status"] == "running" else task["status"]

    def _plan(self, event: Json) -> None:
        self.tasks |= {task["id"]: dict(task) for task in event["tasks"]}

    def _budget(self, event: Json) -> None:
        self.node = "" if event["route"] == "assign" else event["route"]

    def _task_started(self, event: Json) -> None:
        name = event["task"]
        task = {"id": name, "agent": event["agent"], "objective": event["objective"], "depends_on": []}
        self.tasks[name] = task | self.tasks.get(name, {}) | {"status": "running"}
        self._says("supervisor", event["agent"], name)

    def _task_finished(self, event: Json) -> None:
        self.tasks[event["id"]] = self.tasks.get(event["id"], {}) | event
        self.node = "verify"
        self._says(event["agent"], "supervisor", f"{event['id']} {event['status']}")

    _task_paused = _task_finished

    def _model_call(self, event: Json) -> None:
        more = {name: event[name] for name in ("input_tokens", "cached_tokens", "output_tokens")}
        more |= {"micro_usd": event["cost_micro_usd"], "reserved": event.get("reserved_micro_usd", 0)}
        self._called("model", event, event["model"], event.get("seconds", 0.0), **more)

    def _model_failed(self, event: Json) -> None:
        self._called("model", event, event["model"], event["seconds"], error=event["error"])

    def _tool_call(self, event: Json) -> None:
        name, error = event["tool"].replace("__", "."), event.get("error", "")
        more = {"evidence": event.get("evidence", ""), "cached": bool(event.get("cached")), "error": error}
        self._called("tool", event, name, event.get("ms", 0) / 1000, size=event.get("size", 0), **more)
        server, _, tool = name.partition(".")
        self._says(event["agent"], f"{server}_tools", f"{tool} {event.get('evidence', 'failed')}")

    def _tool_cost(self, event: Json) -> None:
        self._called("tool", event, event["tool"], 0.0, micro_usd=event["cost_micro_usd"])

    def _report(self, event: Json) -> None:
        self._says("supervisor", "report", f"draft {event['attempt']}")

    def _report_verified(self, event: Json) -> None:
        self.node = "report" if event["sent_back"] else "finish"

    def _decision(self, event: Json) -> None:
        self._says("human", "supervisor", event["action"].replace("_", " "))

    def _called(self, kind: str, event: Json, name: str, seconds: float, **more: Any) -> None:
        more.setdefault("size", event.get("prompt_bytes", 0))
        self.calls.append(Call(kind, event["agent"], name, self.seconds, seconds, **more))

    def _says(self, who: str, whom: str, what: str) -> None:
        self.talk.append((who, whom, what))
