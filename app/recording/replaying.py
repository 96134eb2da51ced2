"""What answers from a record instead of asking: the toll and the transport of models, the tool gateway, the evidence
store. Nothing outside is reached."""

import asyncio
import contextlib
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import httpx2
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.errors import GraphBubbleUp

from app.errors import AppError
from app.observing.redaction import Redaction
from app.recording.asked import difference, same
from app.recording.cassette import Cassette, Exchange, call_of
from app.recording.taps import COST, TOOL_COST
from graphs import errors
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.spending.spend import Account
from graphs.spending.toll import Answer, Emit, Request, Toll
from graphs.spending.tool_toll import Payer
from graphs.spending.turnstile import Turnstile
from graphs.state import Json
from graphs.stop_reasons import StopReason
from graphs.tools.gateway import Agent, ToolGateway, ToolResult

SOON_S = 0.05  # until a recorded deadline passes
GIVEN_UP_S = 1e6  # more than any provider is waited for
Recorded = TypeVar("Recorded")


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
    skipped_s: float = 0
    exchanges: int = 0
    _at: Counter[Hashable] = field(default_factory=Counter)

    def next_model(self, account: Account) -> Exchange:
        """The next attempt of this agent's task. Raises Differs."""
        recorded = self.cassette.models.get((account.agent, account.task), [])
        if found := self._next((account.job_id, account.agent, account.task), recorded):
            self.exchanges += 1
            return found
        what = f"asks a model once more than the {len(recorded)} times that are recorded{self._lacks}"
        raise Differs(_where(account.agent, account.task), what, is_past_the_end=True)

    def is_the_last(self, account: Account) -> bool:
        """Whether no further attempt of this agent's task is recorded."""
        at = self._at[account.job_id, account.agent, account.task]
        return at >= len(self.cassette.models.get((account.agent, account.task), []))

    def seconds(self) -> float:
        """A monotonic clock. It skips ahead where the record gives up waiting for a provider."""
        return time.monotonic() + self.skipped_s

    def next_tool(self, account: Account, server: str, tool: str, arguments: Json) -> Json:
        """The next of equal calls. Raises Differs."""
        called = {"task": account.task, "server": server, "tool": tool, "arguments": self.redact(arguments)}
        key, where = call_of(called), _where(account.agent, account.task)
        if found := self._next((account.job_id, key), self.cassette.tools.get(key, [])):
            self.exchanges += 1
            return found
        others = [each for each in self.cassette.lines if each["kind"] == "tool" and each.get("task") == account.task]
        then = [f"- {_shown(each)}" for each in others if (each["server"], each["tool"]) == (server, tool)]
        raise Differs(where, f"makes a tool call that is not recorded{self._lacks}", [*then, f"+ {_shown(called)}"])

    def next_evidence(self, job_id: str, evidence: Evidence) -> str | None:
        """The id under which it was stored, if that is recorded."""
        called = {name: getattr(evidence, name) for name in ("task", "server", "tool")}
        key = call_of({**called, "arguments": self.redact(evidence.arguments)})
        found = self._next((job_id, "evidence", key), self.cassette.evidence.get(key, []))
        return str(found["evidence"]) if found else None

    def _next(self, position: Hashable, recorded: Sequence[Recorded]) -> Recorded | None:
        at = self._at[position]
        self._at[position] += 1
        return recorded[at] if at < len(recorded) else None

    @property
    def _lacks(self) -> str:
        lacks = "; ".join(self.cassette.incomplete)
        return f"; the record is incomplete: {lacks}" if lacks else ""


@dataclass(frozen=True)
class ReplayingToll(Toll):
    """Lets each attempt cost what it cost, and end as it ended."""

    player: Player = field(kw_only=True)

    def seconds(self, account: Account) -> float:
        """As `Toll.seconds`; soon, where the job's deadline passed during the call that is replayed."""
        left = super().seconds(account)
        waiting = self.player.by_task.get((account.agent, account.task))
        return min(left, SOON_S) if waiting and _passed_the_deadline(waiting) else left

    @contextlib.asynccontextmanager
    async def attempt(self, account: Account, request: Request, emit: Emit) -> AsyncIterator[Answer]:
        """As `Toll.attempt`. Raises Differs."""
        player, whose = self.player, (account.agent, account.task)
        exchange = player.next_model(account)
        if "bounds" not in exchange.line:
            if "cut" in exchange.line:
                raise Differs(_where(*whose), f"cannot be replayed further: {'; '.join(player.cassette.incomplete)}")
            raise _error(exchange.line["error"])
        bounds = exchange.line["bounds"]
        as_then = replace(
            request,
            input_tokens=bounds["input"],
            answer_tokens=bounds["answer"],
            least_tokens=min(bounds["least"], bounds["answer"]),
        )
        player.by_task[whose] = exchange
        try:
            async with super().attempt(account, as_then, emit) as answer:
                player.by_ticket[answer.ticket] = exchange
                yield answer
        except Exception:
            if player.differs:
                raise player.differs from None
            if player.is_the_last(account):
                player.skipped_s += GIVEN_UP_S
            raise
        finally:
            player.by_task.pop(whose, None)
            if player.clock:
                player.clock.reaches(exchange.ended_at)


class ReplayingTransport(httpx2.AsyncBaseTransport):
    """Answers an attempt at a model call as it was answered, if it asks the same."""

    def __init__(self, player: Player) -> None:
        self._player = player

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The recorded answer, or the recorded failure of the connection."""
        exchange = self._player.by_ticket.pop(request.extensions[Turnstile.HEADER])
        line, asked = exchange.line, self._player.redact(json.loads(request.content))
        if exchange.request is None or not same(exchange.request, asked):
            diff = difference(exchange.request, asked) if exchange.request else ["(what was asked then is cut)"]
            self._player.differs = Differs(_where(line["agent"], line["task"]), "asks a model something else", diff)
            raise httpx2.ConnectError("a replay differs", request=request)
        if error := exchange.error:
            if error["type"] in {"CancelledError", "LimitReached"}:  # until the agent's time, or the job's, is over
                await asyncio.Event().wait()
            kind = "ReadTimeout" if error["type"] == "TimeoutError" else error["type"]
            raise getattr(httpx2, kind, httpx2.ReadError)(error["message"], request=request)
        told = line["response"]
        body = told if isinstance(told, str) else json.dumps(told)
        return httpx2.Response(
            line["status"], headers=line.get("headers"), stream=httpx2.ByteStream(body.encode()), request=request
        )


class ReplayingGateway(ToolGateway):
    """Answers tool calls as they were answered. Connects to nothing."""

    def __init__(self, player: Player, servers: Mapping[str, str], **more: Any) -> None:  # noqa: ARG002
        super().__init__({}, **{name: more[name] for name in ("registry", "toll") if name in more})
        self._player = player
        self._ledger = more["toll"].ledger

    async def tools(self, agent: Agent) -> list[BaseTool]:
        """The tools that it was offered. Raises Differs."""
        offered = self._player.cassette.offered.get(agent.name)
        if offered is None or "cut" in offered:
            raise Differs(agent.name, "needs its tools, which are not in the record")
        if "error" in offered:
            raise _error(offered["error"])
        return [StructuredTool(**each, func=_not_called) for each in offered["tools"]]

    async def call(
        self,
        agent: Agent,  # noqa: ARG002
        server_name: str,
        tool: str,
        arguments: Json,
        *,
        tenant: str = "",  # noqa: ARG002
        payer: Payer | None = None,
    ) -> ToolResult:
        """The recorded result, at its recorded price. Raises Differs, or the recorded error."""
        assert payer, "agents call tools on an account"
        line = self._player.next_tool(payer.account, server_name, tool, arguments)
        if cost := line.get(COST, 0):
            call_id = uuid.uuid4().hex
            await self._ledger.reserve(call_id, payer.account, cost, expires_in_s=60, counted=None)
            await self._ledger.settle(call_id, cost)
            told = {"type": TOOL_COST, "agent": payer.account.agent, "tool": f"{server_name}.{tool}"}
            payer.emit({**told, COST: cost, "estimated": False})
        if "error" in line:
            raise _error(line["error"])
        return ToolResult(line["text"], line["content"], round(line["seconds"] * 1000), line["cached"])

    async def away(self, names: Iterable[str]) -> list[str]:  # noqa: ARG002
        """None."""
        return []

    async def refusing(self, names: Iterable[str]) -> list[str]:  # noqa: ARG002
        """None."""
        return []


class ReplayingEvidence(EvidenceStore):
    """Stores results under their recorded ids."""

    def __init__(self, player: Player, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._player = player

    async def new_id(self, job_id: str, evidence: Evidence) -> str:
        """As it was, or a new one."""
        return self._player.next_evidence(job_id, evidence) or await super().new_id(job_id, evidence)


def _error(told: Json) -> Exception:
    """The recorded error, of the same kind."""
    kind = getattr(errors, told["type"], errors.ModelUnavailable)
    if issubclass(kind, errors.LimitReached):
        more = {name: told[name] for name in ("passing", "wanted_micro_usd")}
        return kind(StopReason(told["reason"]), told["scope"], told["detail"], **more)
    found: Exception = kind(told["message"], told["wait_s"]) if kind is errors.CircuitOpen else kind(told["message"])
    return found


def _passed_the_deadline(exchange: Exchange) -> bool:
    return (exchange.error or {}).get("type") == "LimitReached"


def _where(agent: str, task: str) -> str:
    return f"{agent}, task {task}" if task else agent


def _shown(line: Json) -> str:
    return f"{line['server']}.{line['tool']}({json.dumps(line['arguments'], ensure_ascii=False)})"


def _not_called() -> None:
    raise AssertionError("the gateway makes the calls")
