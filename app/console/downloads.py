"""Downloads of a job's report, for browsers, which send a cookie instead of a key."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.access.keys import Scope
from app.api.problems import refused
from app.console.frame import Console
from app.jobs.states import Format


def downloads(console: Console) -> Callable[[Request, str, Format], Awaitable[Response]]:
    """The route."""

    async def report(request: Request, job_id: str, form: Format) -> Response:
        caller = request.state.caller
        if Scope.READ not in caller.scopes:
            return PlainTextResponse("This key may not read reports: it needs the scope read.\n", 403)
        try:
            made = await console.reports.made(console.backend, caller.tenant, job_id, form)
        except Exception as error:
            problem = refused(error)
            if problem.kind.status >= 500:
                raise
            return PlainTextResponse(f"{problem.detail}\n", problem.kind.status)
        made.headers["Content-Disposition"] = f'attachment; filename="{job_id}.{form}"'
        return made

    return report
