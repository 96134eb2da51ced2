"""What answers from a record instead of asking: the toll and the transport of models, the tool gateway, the evidence
store. Nothing outside is reached."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx2
from langchain_core.tools import BaseTool, StructuredTool

from app.recording.asked import difference, same
from app.recording.cassette import Exchange, ended
from app.recording.player import Differs, Player, where
from app.recording.taps import COST, TOOL_COST
from graphs import errors
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.spending.ledger import Ledger
from graphs.spending.limits import LIMITS, Limits
from graphs.spending.spend import Account, Spend
from graphs.spending.toll import Answer, Emit, Request, Toll
from graphs.spending.tool_toll import Payer
from graphs.spending.turnstile import Turnstile
from graphs.state import Json
from graphs.stop_reasons import StopReason
from graphs.tools.gateway import Agent, ToolGateway, ToolResult

SOON_S = 0.05  # until a recorded deadline passes
FOR_S = 60.0  # that a reservation lasts, which is settled at once
MOST = Limits(**{name: limit.most for name, limit in LIMITS.items()})


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
                raise Differs(where(*whose), f"cannot be replayed further: {'; '.join(player.cassette.incomplete)}")
            raise _error(exchange.line["error"])
        bounds = exchange.line["bounds"]
        as_then = replace(request, input_tokens=bounds["input"], answer_tokens=bounds["answer"])
        player.by_task[whose] = exchange
        try:
            async with super().attempt(account, as_then, emit) as answer:
                player.by_ticket[answer.ticket] = exchange
                yield answer
        except Exception:
            if player.differs:
                raise player.differs from None
            raise
        finally:
            player.by_task.pop(whose, None)
            if player.clock:
                player.clock.reaches(ended(exchange.line))

    async def _admitted(self, request: Request) -> None:
        """Whatever the circuit is now: where it was open then, that is recorded."""

    async def _reserved(self, account: Account, request: Request, emit: Emit, at: datetime) -> tuple[str, int]:  # noqa: ARG002
        """What was granted then, however much others have reserved now."""
        granted, call_id = self.player.by_task[account.agent, account.task].line["bounds"]["reserved"], uuid.uuid4().hex
        return call_id, await self.ledger.reserve(call_id, account, granted, expires_in_s=FOR_S)


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
            self._player.differs = Differs(where(line["agent"], line["task"]), "asks a model something else", diff)
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
        self._ledger: Ledger = more["toll"].ledger

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
        player, account = self._player, payer.account
        line = player.next_tool(account, server_name, tool, arguments)
        if cost := line.get(COST, 0):
            call_id = uuid.uuid4().hex
            await self._ledger.reserve(call_id, payer.account, cost, expires_in_s=FOR_S, counted=None)
            await self._ledger.settle(call_id, cost)
            told = {"type": TOOL_COST, "agent": payer.account.agent, "tool": f"{server_name}.{tool}"}
            payer.emit({**told, COST: cost, "estimated": False})
        if player.clock:
            player.clock.reaches(ended(line))
        if "error" in line:
            raise _error(line["error"])
        return ToolResult(line["text"], line["content"], round(line["seconds"] * 1000), line["cached"])

    async def away(self, names: Iterable[str]) -> list[str]:  # noqa: ARG002
        """None."""
        return []

    async def refusing(self, names: Iterable[str]) -> list[str]:  # noqa: ARG002
        """None."""
        return []


class ReplayingLedger(Ledger):
    """Tells agents what they were told, and refuses nothing else: its limits were asked then, in an order of parallel
    agents that a replay need not have."""

    def __init__(self, player: Player, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._player = player

    async def spend(self, job_id: str, task: str = "") -> Spend:
        """As `Ledger.spend`."""
        return (task and self._player.next_spend(job_id, task)) or await super().spend(job_id)

    async def count_tool_call(self, account: Account) -> None:
        """As it was counted, or refused."""
        if error := self._player.next_counted(account).get("error"):
            raise _error(error)
        await super().count_tool_call(_unlimited(account))

    async def reserve(self, call_id: str, account: Account, micro_usd: int, **more: Any) -> int:
        """What was granted: a call that was refused is not asked for again."""
        return await super().reserve(call_id, _unlimited(account), micro_usd, **more)


class ReplayingEvidence(EvidenceStore):
    """Stores results under their recorded ids."""

    def __init__(self, player: Player, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._player = player

    async def add(self, job_id: str, evidence: Evidence) -> str:
        """Store it under the id that it had, or a new one."""
        if (evidence_id := self._player.next_evidence(job_id, evidence)) is None:
            return await super().add(job_id, evidence)
        await self.put(job_id, evidence_id, evidence)
        return evidence_id


def _error(told: Json) -> Exception:
    """The recorded error, of the same kind."""
    if told["type"] == "CancelledError":  # by the time limit of the agent or the job
        return TimeoutError()
    kind = getattr(errors, told["type"], errors.ModelUnavailable)
    if issubclass(kind, errors.LimitReached):
        more = {name: told[name] for name in ("passing", "wanted_micro_usd")}
        return kind(StopReason(told["reason"]), told["scope"], told["detail"], **more)
    found: Exception = kind(told["message"], told["wait_s"]) if kind is errors.CircuitOpen else kind(told["message"])
    return found


def _unlimited(account: Account) -> Account:
    return replace(account, limits=MOST, set_aside_micro_usd=0)


def _passed_the_deadline(exchange: Exchange) -> bool:
    return (exchange.error or {}).get("type") == "LimitReached"


def _not_called() -> None:
    raise AssertionError("the gateway makes the calls")
