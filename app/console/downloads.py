"""Downloads, for browsers, which send a cookie instead of a key."""

from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.access.keys import Scope
from app.api.operations import audit_lines
from app.api.problems import refused
from app.console import PATH
from app.console.frame import Console
from app.jobs.states import MEDIA


def downloads(console: Console) -> list[Route]:
    """The routes: a job's report, and the audit trail."""

    async def report(request: Request) -> Response:
        job_id, form = request.path_params["job_id"], request.path_params["form"]
        if form not in MEDIA:
            return PlainTextResponse("There is no such form of a report.\n", 404)
        made = console.reports.made(console.backend, request.state.caller.tenant, job_id, form)
        return await _sent(request, Scope.READ, made, f"{job_id}.{form}")

    async def audit(request: Request) -> Response:
        made = audit_lines(console.backend, request.state.caller.tenant)
        return await _sent(request, Scope.ADMIN, made, "audit.jsonl")

    return [Route(f"{PATH}/jobs/{{job_id}}/report.{{form}}", report), Route(f"{PATH}/audit.jsonl", audit)]


async def _sent(request: Request, scope: Scope, made: Awaitable[Response], name: str) -> Response:
    """The file, or why there is none."""
    try:
        if scope not in request.state.caller.scopes:
            return PlainTextResponse(f"This needs a key with the scope {scope}.\n", 403)
        response = await made
    except Exception as error:
        problem = refused(error)
        if problem.kind.status >= 500:
            raise
        return PlainTextResponse(f"{problem.detail}\n", problem.kind.status)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
