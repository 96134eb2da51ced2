"""Limits how many calls a server serves at once; some more wait, and the rest are told to retry.

Callers share the slots fairly (`safe_http.turns`). The decision precedes the SDK's work on a request (some milliseconds
of CPU time), so an overloaded server says so quickly instead of becoming slower for everybody. Lists and handshakes are
always answered.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_servers.base.access import told_by
from mcp_servers.base.observing import Metrics
from safe_http.turns import Full, Turns

RETRY_AFTER_S = 1.0
PARSE_ERROR = -32700


@dataclass(frozen=True, slots=True)
class Room:
    """How many calls are served at once, how many more may wait, and for how many seconds each."""

    calls: int
    waiting: int
    wait_s: float


class Admission:
    """Gives each call its turn. Pure ASGI, for one path; expects each request body in one message.

    A caller that disconnects gives up its slot, or its place in the queue.
    """

    def __init__(self, app: ASGIApp, path: str, room: Room, metrics: Metrics) -> None:
        self._app = app
        self._path = path
        self._room = room
        self._metrics = metrics
        self._turns = Turns(lambda: room.calls, most_waiting=room.waiting)
        self._closed = False
        self._one_ended = anyio.Event()
        metrics.in_flight.set_function(lambda: self._turns.under_way)
        metrics.waiting.set_function(lambda: self._turns.waiting)

    @property
    def closed(self) -> bool:
        """Whether new calls are refused."""
        return self._closed

    async def close(self) -> None:
        """Refuse new calls, and wait until running calls have ended."""
        self._closed = True
        while self._turns.under_way or self._turns.waiting:
            self._one_ended = anyio.Event()
            await self._one_ended.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            return await self._app(scope, receive, send)
        if scope["method"] != "POST":
            # The SDK would keep a GET open for messages that a stateless server never sends.
            return await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        body = await receive()
        try:
            message = json.loads(body.get("body", b""))
        except (ValueError, RecursionError) as error:
            return await _not_json(error)(scope, receive, send)
        if not isinstance(message, dict) or message.get("method") != "tools/call":
            return await self._app(scope, _once(body, receive), send)
        call = message.get("id")
        if self._closed:
            return await self._busy(call, "stopping", "this server is stopping")(scope, receive, send)
        address, _ = scope.get("client") or ("", 0)
        scope["caller"] = told_by(scope["caller"], message.get("params"), address)
        return await self._while_wanted(call, body, scope, receive, send)

    async def _while_wanted(self, call: Any, body: Message, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
                await self._in_turn(call, scope, _once(body, _nothing), send)
                group.cancel_scope.cancel()
        finally:
            self._one_ended.set()

    async def _in_turn(self, call: Any, scope: Scope, receive: Receive, send: Send) -> None:
        party = scope["caller"].party
        try:
            with anyio.move_on_after(self._room.wait_s) as wait:
                await self._turns.take(party)
        except Full:
            reason = f"{self._turns.under_way} calls running, {self._turns.waiting} waiting"
            return await self._busy(call, "queue_full", reason)(scope, receive, send)
        if wait.cancelled_caught:
            reason = f"this call got no slot within {self._room.wait_s:g} s"
            return await self._busy(call, "waited_too_long", reason)(scope, receive, send)
        try:
            return await self._app(scope, receive, send)
        finally:
            self._turns.give_back(party)

    def _busy(self, call: Any, label: str, reason: str) -> JSONResponse:
        """A tool result, not an HTTP error: on HTTP errors the SDK's client abandons its whole session."""
        self._metrics.refused(label)
        text = f"busy: {reason}; try again in {RETRY_AFTER_S:g} s"
        meta = {"retry_after_s": RETRY_AFTER_S}
        result = {"content": [{"type": "text", "text": text}], "isError": True, "_meta": meta}
        known = call if isinstance(call, str | int) else None
        headers = {"Retry-After": str(math.ceil(RETRY_AFTER_S))}
        return JSONResponse({"jsonrpc": "2.0", "id": known, "result": result}, headers=headers)


async def _cancel_when_gone(receive: Receive, work: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()


async def _nothing() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


def _once(message: Message, then: Receive) -> Receive:
    """A `receive` that returns this message first."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await then()
        given = True
        return message

    return receive


def _not_json(error: Exception) -> JSONResponse:
    told = {"code": PARSE_ERROR, "message": f"the body is not JSON: {error}"}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": told}, 400)
