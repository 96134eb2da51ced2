"""An MCP server that does what a test wants: it counts, waits, and misbehaves on order. Real HTTP, in a thread."""

import asyncio
import contextlib
import functools
import gzip
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import jwt
import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.tools.gateway import Asking

Fault = Literal[
    "503", "500", "wrong type", "dropped", "cut off", "oversized", "hang", "forbidden", "other content",
    "no message", "another's message", "packed", "bomb", "bomb of events", "packed oddly", "held open", "no answer",
]  # fmt: skip

EVERYTHING = Asking("test", ("unruly.*",))
BIG = 5 * 1024 * 1024
ODD_ANSWERS: tuple[Fault, ...] = (
    "other content", "no message", "another's message", "packed", "bomb", "bomb of events", "packed oddly",
    "held open", "no answer",
)  # fmt: skip


@dataclass
class Unruly:
    """What the server does, and what it has seen.

    Attributes:
        faults: how the next calls of tools go wrong, the first one first.
        stateful: sessions that the server knows, and answers as event streams.
        ready: what `/readyz` says.
        requests: by JSON-RPC method; calls: by tool, of those that were carried out.
        tokens: the Authorization of each request; metas: the `_meta` of each call of a tool.
        probes: requests of `/readyz`.
        left: set when a client went away during a call.
    """

    faults: list[Fault] = field(default_factory=list)
    stateful: bool = False
    ready: bool = True
    data_version: str = "v1"
    port: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    metas: list[Any] = field(default_factory=list)
    probes: int = 0
    most_at_once: int = 0
    called: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def servers(self) -> dict[str, str]:
        return {"unruly": self.url}

    @contextlib.contextmanager
    def running(self) -> Iterator["Unruly"]:
        """Serve until the block ends; again on the same port when it ran before."""
        http = uvicorn.Server(uvicorn.Config(self.app(), log_level="critical", ws="none", timeout_graceful_shutdown=1))
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield self
            finally:
                self.may_answer.set()
                http.should_exit = True
                thread.join()

    def app(self) -> ASGIApp:
        inner = self.built().streamable_http_app()

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
            elif scope["path"] == "/readyz":
                self.probes += 1
                told = {"data_version": self.data_version} if self.ready else {}
                await JSONResponse(told, 200 if self.ready else 503)(scope, receive, send)
            else:
                await self._unruly(inner, scope, receive, send)

        return outer

    async def _unruly(self, inner: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        method = json.loads(body)["method"] if body else scope["method"]
        self.requests[method] += 1
        self.tokens.append(headers.get(b"authorization", b"").decode())
        if method == "tools/call":
            self.metas.append(json.loads(body)["params"].get("_meta"))
        if method == "tools/call" and (fault := self.fault_of(json.loads(body)["params"]["arguments"])):
            if fault in ODD_ANSWERS:
                await _answer_oddly(fault, json.loads(body)["id"], receive, send)
            else:
                await _misbehave(fault, receive, send, self.left)
            return
        sent = False

        async def again() -> Any:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await inner(scope, again, send)

    def fault_of(self, _arguments: Any) -> Fault | None:
        """How a call with these arguments goes wrong."""
        return self.faults.pop(0) if self.faults else None

    def built(self) -> FastMCP:
        server: FastMCP = FastMCP(
            "unruly", stateless_http=not self.stateful, json_response=not self.stateful, log_level="CRITICAL"
        )
        repeatable = ToolAnnotations(readOnlyHint=True, idempotentHint=True)

        def answer(tool: str) -> dict[str, Any]:
            self.calls.append(tool)
            return {"number": len(self.calls), "rows": [[1, "two", 0.1, None]], "data_version": self.data_version}

        @server.tool(annotations=repeatable)
        def read(name: str) -> dict[str, Any]:
            return answer("read")

        @server.tool("read.odd/name", annotations=repeatable)
        def odd(name: str) -> dict[str, Any]:
            return answer("read.odd/name")

        @server.tool(annotations=repeatable)
        async def wait(name: str) -> dict[str, Any]:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            given = answer("wait")
            self.called.set()
            await asyncio.to_thread(self.may_answer.wait, 30)
            self._at_once -= 1
            return given

        @server.tool(annotations=repeatable)
        def fail(name: str) -> dict[str, Any]:
            raise ValueError(answer("fail"))

        @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
        def only_read(name: str) -> dict[str, Any]:
            return answer("only_read")

        @server.tool(annotations=ToolAnnotations(idempotentHint=True))
        def only_idempotent(name: str) -> dict[str, Any]:
            return answer("only_idempotent")

        @server.tool()
        def write(name: str) -> dict[str, Any]:
            return answer("write")

        @server.tool()
        def busy(name: str) -> CallToolResult:
            self.calls.append("busy")
            told = TextContent(type="text", text="busy: try again")
            return CallToolResult(isError=True, content=[told], _meta={"retry_after_s": 0.05})

        @server.tool(structured_output=True)
        def count(name: str) -> dict[str, int]:
            return {"number": 1}

        return server


@functools.cache
def bomb() -> bytes:
    """Some 64 kilobytes that unpack to 64 megabytes."""
    return gzip.compress(b" " * 64 * 1024 * 1024)


def claims(authorization: str, secret: str) -> dict[str, Any]:
    """What a token says, checked as the servers check it."""
    token = authorization.removeprefix("Bearer ")
    told: dict[str, Any] = jwt.decode(token, secret, ["HS256"], audience="unruly", issuer="tollgate")
    return told


async def _misbehave(fault: Fault, receive: Receive, send: Send, left: threading.Event) -> None:
    if fault == "hang":
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()
        return
    if fault == "dropped":
        raise ConnectionAbortedError("dropped by order")
    status = {"503": 503, "500": 500, "forbidden": 403}.get(fault, 200)
    kind = b"text/html" if fault == "wrong type" else b"application/json"
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    if fault == "cut off":
        await send({"type": "http.response.body", "body": b'{"jsonrpc":', "more_body": True})
        raise ConnectionAbortedError("cut off by order")
    body = b'{"jsonrpc": "2.0", "id": 1, "result": "' + b"x" * BIG + b'"}' if fault == "oversized" else b"out of order"
    await send({"type": "http.response.body", "body": body})


async def _answer_oddly(fault: Fault, message_id: int, receive: Receive, send: Send) -> None:
    """Answers that the SDK's server would not let out."""
    number: Any = "not one" if fault == "other content" else 42
    result = {"content": [], "structuredContent": {"number": number}, "isError": False}
    told = {"jsonrpc": "2.0", "id": message_id + (fault == "another's message"), "result": result}
    body = json.dumps(told).encode()
    kind, packing = b"application/json", b"identity"
    match fault:
        case "no message":
            body = b'{"detail": "Internal error"}'
        case "packed":
            body, packing = gzip.compress(body), b"gzip"
        case "bomb":
            body, packing = bomb(), b"gzip"
        case "bomb of events":
            body, packing, kind = bomb(), b"gzip", b"text/event-stream"
        case "packed oddly":
            packing = b"zstd"
        case "held open":
            body, kind = b"event: message\ndata: " + body + b"\n\n", b"text/event-stream"
        case "no answer":
            body, kind = b": nothing more\n\n", b"text/event-stream"
    headers = [(b"content-type", kind), (b"content-encoding", packing)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": fault == "held open"})
    if fault == "held open":
        while (await receive())["type"] != "http.disconnect":
            pass
