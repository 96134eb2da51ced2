"""The list of jobs, and the form that submits one."""

import asyncio
import math
import time

from nicegui import ui

from app.access.keys import Scope
from app.api import actions
from app.api.models import JobRequest
from app.console import PATH
from app.console.frame import REQUEST_ID, Panel, Viewer, checked, empty, heading, number, shown
from app.jobs.records import Record
from app.jobs.states import STATUSES, TERMINAL
from graphs.evidence.rendering import counted
from graphs.spending.limits import MICRO, OnLimit
from graphs.state import Json

EVERY_S = 2.0
SEARCHED_EVERY_S = 15.0
PAGE = 25
ON_LIMIT: dict[OnLimit, str] = {"escalate": "ask me", "finish_partial": "finish a partial report", "fail": "fail"}


async def jobs(viewer: Viewer) -> None:
    """The page."""
    heading("Jobs")
    if viewer.may(Scope.SUBMIT):
        _form(viewer)
    if not viewer.may(Scope.READ):
        empty("This key may not read jobs", "It needs the scope read.")
        return
    with ui.element("form").classes("filters").props("role=search onsubmit='return false'"):
        status = ui.select({"": "all", **{each: each.replace("_", " ") for each in STATUSES}}, value="", label="Status")
        text = ui.input("Question, id or behaviour").props("debounce=300 clearable type=search")
    panel = Panel()
    starts: list[str | None] = [None]  # where each page up to this one begins
    with ui.element("nav").classes("paging").props("aria-label='Pages of jobs'") as paging:
        newer, older = ui.button("Newer"), ui.button("Older")

    found_at = -math.inf

    async def look() -> None:
        nonlocal found_at
        if text.value and time.monotonic() - found_at < SEARCHED_EVERY_S:
            return  # a search reads up to a thousand jobs
        found_at = time.monotonic()
        wanted = (status.value or None, (text.value or "").strip(), starts[-1])
        may_submit = viewer.may(Scope.SUBMIT)
        glances = viewer.console.glances
        made, after = await glances.of(
            ("jobs", viewer.tenant, may_submit, *wanted), lambda: _listed(viewer, *wanted, may_submit=may_submit)
        )
        panel.put(made)
        newer.set_enabled(len(starts) > 1)
        older.set_enabled(after is not None)
        paging.set_visibility(len(starts) > 1 or after is not None)
        following[0] = after

    following: list[str | None] = [None]

    async def turned() -> None:
        nonlocal found_at
        found_at = -math.inf
        await refresh()

    async def back() -> None:
        if len(starts) > 1:
            starts.pop()
        await turned()

    async def forth() -> None:
        if following[0]:
            starts.append(following[0])
        await turned()

    async def anew() -> None:
        del starts[1:]
        await turned()

    newer.on_click(back)
    older.on_click(forth)
    status.on_value_change(anew)
    text.on_value_change(anew)
    refresh = viewer.follow(EVERY_S, look)


async def _listed(
    viewer: Viewer, status: str | None, text: str, before: str | None, *, may_submit: bool
) -> tuple[str, str | None]:
    """A page of the list as HTML, and where the next one begins."""
    here = viewer.console.backend.service
    records, after = await here.listed(viewer.tenant, status=status, text=text, before=before, most=PAGE)
    rows = await asyncio.gather(*(_row(viewer, each) for each in records))
    return shown("jobs.html", rows=rows, filtered=bool(status or text), path=PATH, may_submit=may_submit), after


async def _row(viewer: Viewer, record: Record) -> Json:
    used = await viewer.console.backend.service.deps.ledger.spend(record.job_id)
    budget = record.raised_micro_usd or record.limits.budget_micro_usd
    return {
        "id": record.job_id,
        "question": record.question,
        "status": "stopping" if record.cancel_at and record.status not in TERMINAL else record.status,
        "spent": used.micro_usd,
        "budget": max(budget, used.micro_usd),
        "progress": [
            counted(used.model_calls, "model call"),
            counted(used.tool_calls, "tool call"),
            counted(used.steps, "step"),
        ],
        "created_at": record.created_at,
    }


def _form(viewer: Viewer) -> None:
    """The form of a new job."""
    settings = viewer.console.backend.settings
    limits, ceiling = settings.limits, settings.ceiling
    with ui.element("section").classes("card").props("aria-label='New job'"):
        question = ui.textarea("Question").props("autogrow rows=2").classes("wide")
        with ui.element("div").classes("fields"):
            most_usd = ceiling.budget_micro_usd / MICRO
            budget = number("Budget in US dollars", limits.budget_micro_usd / MICRO, 0, most_usd)
            deadline = number("Deadline in seconds", limits.deadline_s, 1, ceiling.deadline_s, step=1)
            on_limit = ui.select(ON_LIMIT, value=limits.on_limit, label="At a limit")
            button = ui.button("Submit")

    async def submit() -> None:
        made: list[Record] = []

        async def act() -> None:
            job = checked(
                JobRequest,
                question=question.value or "",
                budget_usd=budget.value,
                deadline_s=int(deadline.value) if deadline.value is not None else None,
                on_limit=on_limit.value,
            )
            console = viewer.console
            record, _ = await actions.submit(console.backend, console.metrics, viewer.caller, job, None, REQUEST_ID)
            made.append(record)

        button.disable()
        if await viewer.does(act):
            ui.navigate.to(f"/jobs/{made[0].job_id}")
        button.enable()

    button.on_click(submit)
