"""Who may open the console: a browser that has logged in with an API key, or, while there is no key, this machine.

The gate stands before everything below `/console`, WebSockets included; all else goes to the API. A browser sends the
cookie with requests of the console's own pages only (SameSite=Strict), and a request that names another origin is
refused, so that no other page can act in its user's name.
"""

import contextlib
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.auth import EVERYBODY, Caller, address, everybody, is_local
from app.api.backend import Backend
from app.api.problems import Refused, refused
from app.api.sse import Streams
from app.console import PATH
from app.console.frame import TEMPLATES
from app.console.sessions import LASTS_S, Sessions
from graphs.redis.failures import STORE_FAILED

COOKIE = "console"
LOGIN, LOGOUT = f"{PATH}/login", f"{PATH}/logout"
STATIC = f"{PATH}/_nicegui/"  # the framework's own files
SOCKET = f"{PATH}/_nicegui_ws/"
LONGEST_FORM = 4096  # bytes of a log-in
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, a browser sends no origin with the form either
    # Vue compiles templates in the browser. What pages show is text, and nothing may be fetched from or sent elsewhere.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}
_AGAIN = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Console</title>'


class Gate:
    """See the module. `api` is the API's application, `pages` the console's, mounted at `/console`; `streams` counts
    open pages."""

    def __init__(
        self, api: ASGIApp, pages: ASGIApp, backend: Backend, sessions: Sessions, streams: Streams, *, loopback: bool
    ) -> None:
        self.api, self.pages = api, pages
        self.backend = backend
        self.sessions, self.streams = sessions, streams
        self.loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not f"{scope['path']}/".startswith(f"{PATH}/"):
            if (
                scope["type"] == "http"
                and scope["path"] == "/"
                and "text/html" in Headers(scope=scope).get("accept", "")
            ):
                return await RedirectResponse(f"{PATH}/", 303)(scope, receive, send)  # a person, not a client
            return await self.api(scope, receive, send)
        guarded = _guarded(send)
        with contextlib.ExitStack() as held:
            try:
                response = await self._answer(scope, receive, held)
            except (*STORE_FAILED, Refused) as error:
                problem = refused(error)
                response = PlainTextResponse(f"{problem.detail}\n", problem.kind.status)
            if response is None:
                return await self._shown(scope, receive, guarded)
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008, "reason": "not admitted"})
            return await response(scope, receive, guarded)

    async def _shown(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the pages answer. A browser that goes away before its response is no error."""
        is_gone = False

        async def received() -> Message:
            nonlocal is_gone
            message = await receive()
            is_gone |= message["type"] == "http.disconnect"
            return message

        scope["fastapi.telemetry"] = None  # no spans: a look at the console is hundreds of requests
        try:
            await self.pages(scope, received, send)
        except RuntimeError:  # Starlette's, that no response was returned
            if not is_gone:
                raise

    async def _answer(self, scope: Scope, receive: Receive, held: contextlib.ExitStack) -> Response | None:
        """The response, if it is not one of the pages; `held` is what the request holds until it is over."""
        request = HTTPConnection(scope)
        if (origin := request.headers.get("origin")) is not None and not _same_host(origin, request):
            return PlainTextResponse("this request comes from another origin\n", 403)
        if scope["path"] == LOGIN:
            return await self._log_in(Request(scope, receive))
        if scope["path"] == LOGOUT:
            return await self._log_out(Request(scope, receive))
        return None if scope["path"].startswith(STATIC) else await self._admitted(request, held)

    async def _admitted(self, request: HTTPConnection, held: contextlib.ExitStack) -> Response | None:
        """Note who asks; or the response to somebody who may not."""
        caller = await self.caller(request)
        if isinstance(caller, Refused):
            if caller.kind.status != 401:
                return PlainTextResponse(f"{caller.detail}\n", caller.kind.status)
            if request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies:
                return HTMLResponse(_AGAIN)  # a link from elsewhere comes without the cookie; the refresh has it
            return RedirectResponse(LOGIN, 303)
        request.state.caller = caller
        request.state.session = None if caller is EVERYBODY else request.cookies[COOKIE]
        if request.url.path.startswith(SOCKET):  # an open page
            held.enter_context(self.streams.place(caller.id))
            return None
        allowance = await self.backend.rate.take(f"console:{caller.id}:{address(request)}")
        if allowance.allowed:
            return None
        return PlainTextResponse("too many requests; try again in a few seconds\n", 429, allowance.headers())

    async def caller(self, request: HTTPConnection) -> Caller | Refused:
        """Who asks. Raises redis.exceptions.RedisError."""
        if cookie := request.cookies.get(COOKIE):
            key = await self.sessions.key(cookie)
            if key is not None:
                return Caller(key.id, key.tenant, key.scopes)
        return await everybody(request, self.backend, loopback=self.loopback)

    async def _log_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._form("")
        allowance = await self.backend.rate.take(f"from:{address(request)}")
        if not allowance.allowed:
            return self._form("Too many attempts. Try again in a minute.", 429)
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > LONGEST_FORM:
            return self._form("This is too long for an API key.", 413)
        given = parse_qs((await request.body()).decode(errors="replace")).get("key", [""])
        key = await self.backend.keys.verify(given[0].strip())
        if key is None:
            return self._form("This key is unknown or revoked. It reads tg_… and was shown when it was created.", 401)
        response = RedirectResponse(PATH + "/", 303)
        response.set_cookie(
            COOKIE,
            await self.sessions.begin(key),
            max_age=LASTS_S,
            path=PATH,
            httponly=True,
            samesite="strict",
            secure=not is_local(request),
        )
        return response

    async def _log_out(self, request: Request) -> Response:
        response = RedirectResponse(LOGIN, 303)
        if request.method == "POST":  # a mere link, which may be anybody's, logs nobody out
            await self.sessions.end(request.cookies.get(COOKIE, ""))
            response.delete_cookie(COOKIE, path=PATH)
        return response

    def _form(self, problem: str, status: int = 200) -> HTMLResponse:
        return HTMLResponse(TEMPLATES.get_template("login.html").render(problem=problem), status)


def _same_host(origin: str, request: HTTPConnection) -> bool:
    return origin.partition("://")[2] == request.headers.get("host")


def _guarded(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent
