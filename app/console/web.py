"""Serves the console beside the API, in one process."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from nicegui import app, ui
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from app.access.keys import Scope
from app.api.backend import Backend
from app.console import PATH
from app.console.audit import audit
from app.console.downloads import downloads
from app.console.frame import PAGES, Console, page
from app.console.gate import Gate
from app.console.inbox import inbox
from app.console.job import job
from app.console.jobs import jobs
from app.console.operations import operations
from app.console.sessions import Sessions
from app.console.spend import spend
from graphs.research import build_research_graph


@contextlib.asynccontextmanager
async def beside(api: FastAPI, backend: Backend, *, loopback: bool) -> AsyncIterator[ASGIApp]:
    """The API with the console below `/console`, until the block ends. Once per process: NiceGUI has one application.

    Args:
        api: the API's application.
        backend: what both work with.
        loopback: whether only this machine can connect, which may do everything while there is no API key.
    """
    drawn = build_research_graph(backend.service.deps).get_graph().draw_mermaid(with_styles=False)
    sessions = Sessions(backend.service.client, backend.keys)
    console = Console(backend, api.state.metrics, api.state.reports, sessions, drawn)
    builds = {"": jobs, "inbox": inbox, "spend": spend, "operations": operations, "audit": audit}
    for path, (title, scopes) in PAGES.items():
        page(console, path, title, builds[path], *scopes)
    page(console, "jobs/{job_id}", "Job", job, Scope.READ)
    app.add_exception_handler(404, _nothing_here)
    web = FastAPI(openapi_url=None)
    web.router.routes.extend(downloads(console))
    app.config.quasar_config["loadingBar"] = {"skipHijack": True}  # it would flash at each refresh
    ui.run_with(
        web,
        mount_path=PATH,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10.0,
        binding_refresh_interval=None,  # nothing is bound
    )
    async with web.router.lifespan_context(web):
        yield Gate(api, web, backend, sessions, api.state.streams, loopback=loopback)


async def _nothing_here(*_: object) -> Response:
    """In place of NiceGUI's page, which is kept in memory for a while, whoever asks."""
    return PlainTextResponse("There is no such page.\n", 404)
