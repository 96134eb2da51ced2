"""The HTTP API."""

import contextlib
import functools
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from app.api import budgets, docs_page, jobs, operations, outcomes, spending
from app.api.auth import Gate
from app.api.backend import Backend, State
from app.api.limits import BodyLimit
from app.api.metrics import Metrics
from app.api.observing import Observed
from app.api.problems import Refused, refused
from app.api.report_forms import ReportForms
from app.api.schema import openapi
from app.api.sse import Streams
from app.config.settings import Settings
from app.observing.redaction import Redaction
from app.reports.page import POLICY
from safe_http.connections import most_connections

# FastAPI's telemetry beyond a span for each request: more of each is recorded elsewhere, or may quote what was sent.
NO_TELEMETRY: TelemetryConfig = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}

Opening = contextlib.AbstractAsyncContextManager[Backend]


def create_app(settings: Settings, opening: Opening, *, loopback: bool, registry: CollectorRegistry) -> FastAPI:
    """The application.

    Args:
        settings: also determine the limits in the OpenAPI document.
        opening: opens the backend for as long as the application runs.
        loopback: whether only this machine can connect, which may do everything while there is no API key.
        registry: for its metrics; one application per registry.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with opening as backend:
            yield State(backend=backend)

    metrics, reports, redact = Metrics(registry), ReportForms(), Redaction(settings.secrets)
    streams = Streams(most_connections())
    app = FastAPI(
        title="Tollgate",
        version=version("tollgate"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load external scripts
        redoc_url=None,
        redirect_slashes=False,
        telemetry={**NO_TELEMETRY, "tracing": True, "exclude": _is_no_request_for_jobs},
        middleware=[
            Middleware(Observed, metrics=metrics, redact=redact),
            Middleware(BodyLimit),
            Middleware(Gate, loopback=loopback),
        ],
        exception_handlers={HTTPException: _raised, RequestValidationError: _raised},
    )
    routers = (
        jobs.router(metrics),
        budgets.router(),
        outcomes.router(reports, streams),
        spending.router(),
        operations.router(metrics),
    )
    for router in routers:
        for route in router.routes:
            app.router.routes.append(route)
    app.state.metrics, app.state.reports, app.state.streams = metrics, reports, streams  # for the console beside it
    app.openapi = functools.cache(lambda: openapi(app, settings))  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page.page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    return app


def _is_no_request_for_jobs(scope: Scope) -> bool:
    """Whether it is a probe or a page, which come often and tell nothing."""
    return not scope["path"].startswith("/v1/")


async def _raised(request: Request, error: Exception) -> Response:
    """Pass the error to the outermost layer, which answers all errors alike."""
    problem = refused(error)
    if problem.kind.slug == "method-not-allowed":
        problem = Refused("method-not-allowed", headers={"Allow": ", ".join(_methods(request))})
    raise problem from error


def _methods(request: Request) -> list[str]:
    """All methods of the path; the router names only those of the first matching route."""
    found: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods
    return sorted(found)
