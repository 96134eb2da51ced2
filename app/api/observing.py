"""The outermost layer: assigns request ids, turns errors into responses, logs, counts, and adds headers."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import Metrics
from app.api.problems import answer, refused
from app.observing.redaction import Redaction
from graphs.redis.failures import explained, is_outage

logger = logging.getLogger(__name__)

LONGEST_PATH = 200
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"


class Observed:
    """See the module. Sets `request_id` in `scope["state"]`, and adds the headers in its `headers` to the response."""

    def __init__(self, app: ASGIApp, metrics: Metrics, redact: Redaction) -> None:
        self.app = app
        self.redact = redact
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state |= {"request_id": request_id, "headers": {}}
        began, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(
                    MutableHeaders(scope=message), scope["path"], {"X-Request-ID": request_id, **state["headers"]}
                )
                self._tell(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            problem = refused(error)
            if problem.kind.status >= 500 or status:
                told = (scope["method"], _path(scope), request_id)
                if is_outage(error):
                    logger.error("%s %s failed, request %s: %s", *told, explained(error))
                else:
                    logger.exception("%s %s failed, request %s", *told)
            if status:  # the response has begun and can only be aborted
                raise
            await answer(problem, request_id, self.redact)(scope, receive, sent)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        self.metrics.answered(route, scope["method"], status, seconds)
        caller, request_id = scope["state"].get("caller"), scope["state"]["request_id"]
        who = caller.id if caller else "-"
        told = (scope["method"], _path(scope), status, seconds * 1000, request_id, who)
        logger.info("%s %s %d in %.0f ms, request %s, caller %s", *told)


def _complete(headers: MutableHeaders, path: str, more: dict[str, str]) -> None:
    headers.update({**_SECURITY, **more})
    headers.setdefault("Content-Security-Policy", _NO_CONTENT)
    if path.startswith("/v1"):
        headers["Cache-Control"] = "no-store"


def _path(scope: Scope) -> str:
    """The path as sent, percent-encoded, so that it cannot fake another log line."""
    raw: bytes = scope.get("raw_path") or b"?"
    return raw[:LONGEST_PATH].decode("ascii", "backslashreplace")
