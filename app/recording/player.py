"""How far replays have come in a cassette, and what they get next."""

import json
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from langgraph.errors import GraphBubbleUp

from app.errors import AppError
from app.observing.redaction import Redaction
from app.recording.cassette import Cassette, Exchange, call_of, run_of
from graphs.evidence.store import Evidence
from graphs.spending.spend import Account, Spend
from graphs.state import Json

GIVEN_UP_S = 1e6  # more than any provider is waited for

Recorded = TypeVar("Recorded")
_SKIPPED: ContextVar[float] = ContextVar("skipped_s", default=0.0)


class Differs(AppError, GraphBubbleUp):
    """A job that asks something else than what is recorded. No agent is told to go on without it.

    `where` names agent and task; `diff` are lines of then (-) and now (+), if there is something to compare. With
    `is_past_the_end`, all that is recorded of the task was equal.
    """

    def __init__(self, where: str, what: str, diff: Sequence[str] = (), *, is_past_the_end: bool = False) -> None:
        super().__init__("\n  ".join([f"{where}: {what}", *diff]))
        self.is_past_the_end = is_past_the_end


@dataclass
class Clock:
    """The time of the record: when what was answered last had ended."""

    time: datetime

    def __call__(self) -> datetime:
        """Now."""
        return self.time

    def reaches(self, time: datetime) -> None:
        """It never goes back: parallel agents' answers come in another order."""
        self.time = max(self.time, time)


@dataclass
class Player:
    """A cassette, and how far each job that runs on it has come."""

    cassette: Cassette
    redact: Redaction
    clock: Clock | None = None
    by_ticket: dict[str, Exchange] = field(default_factory=dict)
    by_task: dict[tuple[str, str], Exchange] = field(default_factory=dict)
    differs: Differs | None = None
    exchanges: int = 0
    _at: Counter[Hashable] = field(default_factory=Counter)

    def next_model(self, account: Account) -> Exchange:
        """The next attempt of this agent's task. Raises Differs."""
        recorded = self.cassette.models.get((account.agent, account.task), [])
        place = account.job_id, account.agent, account.task
        if found := self._next(place, recorded):
            self.exchanges += 1
            after = recorded[self._at[place] :][:1]
            if not any(run_of(each.line) == run_of(found.line) for each in after):
                _SKIPPED.set(_SKIPPED.get() + GIVEN_UP_S)  # if it fails, it was not tried again
            return found
        what = f"asks a model once more than the {len(recorded)} times that are recorded{self._lacks}"
        raise Differs(where(account.agent, account.task), what, is_past_the_end=True)

    def seconds(self) -> float:
        """A monotonic clock. It skips ahead for the agent that gave up waiting for a provider, and for no other."""
        return time.monotonic() + _SKIPPED.get()

    def next_tool(self, account: Account, server: str, tool: str, arguments: Json) -> Json:
        """The next of equal calls. Raises Differs."""
        called = {"task": account.task, "server": server, "tool": tool, "arguments": self.redact(arguments)}
        key, whose = call_of(called), where(account.agent, account.task)
        if found := self._next((account.job_id, key), self.cassette.tools.get(key, [])):
            self.exchanges += 1
            return found
        others = [each for each in self.cassette.lines if each["kind"] == "tool" and each.get("task") == account.task]
        then = [f"- {_shown(each)}" for each in others if (each["server"], each["tool"]) == (server, tool)]
        raise Differs(whose, f"makes a tool call that is not recorded{self._lacks}", [*then, f"+ {_shown(called)}"])

    def next_evidence(self, job_id: str, evidence: Evidence) -> str | None:
        """The id under which it was stored, if that is recorded."""
        called = {name: getattr(evidence, name) for name in ("task", "server", "tool")}
        key = call_of({**called, "arguments": self.redact(evidence.arguments)})
        found = self._next((job_id, "evidence", key), self.cassette.evidence.get(key, []))
        return str(found["evidence"]) if found else None

    def next_spend(self, job_id: str, task: str) -> Spend | None:
        """What the task read of the job's spending, if that is recorded."""
        found = self._of_the_ledger("spend", job_id, task)
        return Spend.model_validate(found["used"]) if found else None

    def next_counted(self, account: Account) -> Json:
        """What came of counting the task's next tool call; nothing if that is not recorded."""
        return self._of_the_ledger("counted", account.job_id, account.task) or {}

    def _of_the_ledger(self, kind: str, job_id: str, task: str) -> Json | None:
        return self._next((job_id, kind, task), self.cassette.ledger.get((kind, task), []))

    def _next(self, position: Hashable, recorded: Sequence[Recorded]) -> Recorded | None:
        at = self._at[position]
        self._at[position] += 1
        return recorded[at] if at < len(recorded) else None

    @property
    def _lacks(self) -> str:
        lacks = "; ".join(self.cassette.incomplete)
        return f"; the record is incomplete: {lacks}" if lacks else ""


def where(agent: str, task: str) -> str:
    """An agent and its task, for people."""
    return f"{agent}, task {task}" if task else agent


def _shown(line: Json) -> str:
    return f"{line['server']}.{line['tool']}({json.dumps(line['arguments'], ensure_ascii=False)})"
