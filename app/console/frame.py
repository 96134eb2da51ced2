"""What all pages share: who looks, the header, how errors are shown, how pages follow what happens."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from cachetools import TTLCache
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape
from nicegui import ui
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.access.keys import Scope
from app.api.auth import EVERYBODY, Caller
from app.api.backend import Backend
from app.api.metrics import Metrics
from app.api.problems import refused
from app.api.report_forms import ReportForms
from app.console import PATH
from app.console.sessions import Sessions
from graphs.evidence.rendering import counted
from graphs.redis.failures import STORE_FAILED, is_outage
from graphs.spending.limits import MICRO

logger = logging.getLogger(__name__)
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

HERE = Path(__file__).parent
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAGES = {  # those in the header: path, title, and scopes of which a key needs one
    "": ("Jobs", (Scope.READ, Scope.SUBMIT)),
    "inbox": ("Inbox", (Scope.READ,)),
    "spend": ("Spend", (Scope.READ,)),
    "operations": ("Operations", (Scope.ADMIN,)),
    "audit": ("Audit", (Scope.ADMIN,)),
}
SHARED_S = 1.0
BUILT_WITHIN_S = 30.0  # longer than the store may take to answer, so that its error is shown, not NiceGUI's
WORDS = {  # of kinds whose words are for clients of the API
    "unavailable": "The store, or another part that this needs, does not answer.",
    "internal": "Something went wrong on our side. The log says what.",
}
REQUEST_ID = "console"  # in the audit trail, in place of an HTTP request's


class Glances:
    """What open pages read regularly, and how it looks: shared by all that look at the same within a second."""

    def __init__(self) -> None:
        self._taken: TTLCache[Hashable, asyncio.Task[Any]] = TTLCache(1000, SHARED_S)

    async def of(self, what: Hashable, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `look`, or that of somebody else's for the same `what`."""
        task = self._taken.get(what)
        if task is None:
            task = self._taken[what] = asyncio.create_task(look())
        return cast("T", await asyncio.shield(task))


@dataclass(frozen=True)
class Console:
    """What the pages work with. `drawn` is the graph as Mermaid."""

    backend: Backend
    metrics: Metrics
    reports: ReportForms
    sessions: Sessions
    drawn: str
    glances: Glances = field(default_factory=Glances)


@dataclass
class Viewer:
    """Who looks at a page, and the cookie of the session; None while there is no key."""

    console: Console
    caller: Caller
    session: str | None

    @property
    def tenant(self) -> str:
        """Whose jobs are shown."""
        return self.caller.tenant

    def may(self, *scopes: Scope) -> bool:
        """Whether the key has one of these scopes."""
        return not self.caller.scopes.isdisjoint(scopes)

    async def admitted(self) -> bool:
        """Whether the session goes on, and the key is valid. Raises redis.exceptions.RedisError."""
        if self.session is None:
            return not await self.console.backend.keys.required()
        return await self.console.sessions.key(self.session) is not None

    async def does(self, act: Callable[[], Awaitable[object]], done: str = "") -> bool:
        """Do something, and say so; or say why it cannot be done. Returns whether it was done."""
        try:
            if not await self.admitted():
                _close()
                return False
            await act()
        except Exception as error:
            ui.notify(_said(error), type="negative", close_button="OK", timeout=0)
            return False
        if done:
            ui.notify(done, type="positive")
        return True

    async def _still_admitted(self) -> bool:
        return await self.console.glances.of(("admitted", self.caller.id, self.session), self.admitted)

    def follow(self, every_s: float, look: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """Look regularly for as long as the page is open and its reader may see it. An error is shown until it is over.
        Returns what looks at once."""
        trouble = ui.label().classes("trouble").props("role=alert")
        trouble.set_visibility(False)

        async def looked() -> None:
            try:
                if not await self._still_admitted():
                    _close()
                    return
                await look()
            except Exception as error:
                trouble.set_text(f"{_said(error)} Trying again.")
                trouble.set_visibility(True)
            else:
                trouble.set_visibility(False)

        ui.timer(every_s, looked)
        return looked


Build = Callable[..., Awaitable[None]]


def page(console: Console, path: str, title: str, build: Build, *scopes: Scope) -> None:
    """Serve a page at this path, to callers with one of these scopes. `build` gets the viewer and the path's values."""

    async def shown(request: Request) -> None:
        viewer = Viewer(console, request.state.caller, request.state.session)
        _header(viewer, path, await _waiting(viewer))
        if not viewer.may(*scopes):
            empty("This key may not see this page", f"It needs the scope {' or '.join(scopes)}.")
            return
        try:
            await build(viewer, **request.path_params)
        except Exception as error:
            empty(refused(error).kind.title, _said(error))

    ui.page(f"/{path}", title=f"{title} · Console", dark=None, response_timeout=BUILT_WITHIN_S)(shown)


def empty(title: str, text: str) -> None:
    """A panel where there is nothing else to show."""
    with ui.element("section").classes("empty"):
        heading(title, 2)
        ui.label(text)


def heading(text: str, level: int = 1) -> None:
    """A heading."""
    ui.html(str(escape(text)), sanitize=False, tag=f"h{level}")


def shown(template: str, **given: Any) -> str:
    """HTML of a template; what is given is escaped."""
    return TEMPLATES.get_template(template).render(**given)


def checked(model: type[M], **given: Any) -> M:
    """What was entered in a form, as in a request's body. Raises RequestValidationError."""
    try:
        return model(**given)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def number(label: str, value: float, least: float, most: float, step: float = 0.01) -> ui.number:
    """A field for a number. What is out of bounds is refused when it is sent; NiceGUI's own bounds would change it, so
    the browser alone gets them, as expressions."""
    return ui.number(label, value=value).props(f":min={least} :max={most} step={step}")


class Panel:
    """A part of a page that is drawn anew when its data change."""

    def __init__(self, template: str = "") -> None:
        self._template = template
        self._html = ui.html(sanitize=True).classes("panel")

    def show(self, **given: Any) -> None:
        """Draw it with these data."""
        self.put(shown(self._template, **given))

    def put(self, made: str) -> None:
        """Draw what was made of the template; nothing is sent if it looks the same."""
        if made != self._html.content:
            self._html.set_content(made)


def usd(micro_usd: float) -> str:
    """An amount for reading: 0.0123 dollars as $0.0123, and whole cents as $0.25."""
    amount = micro_usd / MICRO
    return f"${amount:,.2f}" if amount >= 1 or round(micro_usd) % (MICRO // 100) == 0 else f"${amount:.4f}"


def size(count: float) -> str:
    """A number of bytes or tokens for reading."""
    return f"{count:,.0f}" if count < 10_000 else f"{count / 1000:,.0f} k"


def clock(at: datetime) -> str:
    """A UTC time of day."""
    return f"{at:%H:%M:%S}"


def moment(at: datetime) -> str:
    """A UTC date and time."""
    return f"{at:%Y-%m-%d %H:%M}"


ui.button.default_props("no-caps unelevated")
ui.tab.default_props("no-caps")
TEMPLATES.filters |= {"usd": usd, "size": size, "clock": clock, "moment": moment, "counted": counted}


async def _waiting(viewer: Viewer) -> int:
    """How many jobs wait for a human, as far as the viewer may know; 0 while the store does not say."""
    if not viewer.may(Scope.READ):
        return 0
    service, what = viewer.console.backend.service, ("waiting", viewer.tenant)
    with contextlib.suppress(*STORE_FAILED):
        return len(await viewer.console.glances.of(what, lambda: service.waiting(viewer.tenant)))
    return 0


def _header(viewer: Viewer, here: str, waiting: int) -> None:
    ui.add_css(HERE / "console.css")
    ui.colors(primary="#1d4ed8", negative="#b91c1c", positive="#166534")
    named = None if viewer.caller is EVERYBODY else viewer.caller
    pages = {name: title for name, (title, scopes) in PAGES.items() if viewer.may(*scopes)}
    made = shown("header.html", path=PATH, pages=pages, waiting=waiting, here=here.partition("/")[0], caller=named)
    layout, content = ui.context.client.layout, ui.context.client.content
    ui.html(made, sanitize=False, tag="header").move(layout, 0)  # the framework puts all else into <main>
    ui.skip_link(target=content)


def _close() -> None:
    """Send the browser to the log-in. The page is emptied, so that a client that stays can do nothing with it."""
    ui.navigate.to("/login")
    ui.context.client.content.clear()


def _said(error: Exception) -> str:
    """What the reader is told of an error; the log has the rest."""
    problem = refused(error)
    if problem.kind.status >= 500 and not is_outage(error):
        logger.error("a page of the console failed", exc_info=error)
    detail = WORDS.get(problem.kind.slug, str(problem.detail))
    return f"{detail[:1].upper()}{detail[1:].rstrip('.')}."
