"""What operators look at: the queue, workers, what jobs need, dead letters."""

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from app.api import actions
from app.console import PATH
from app.console.frame import REQUEST_ID, Panel, Viewer, heading, shown
from app.jobs.records import Record

Act = Callable[[], Awaitable[object]]
EVERY_S = 2.0
AT_ONCE = 50


async def operations(viewer: Viewer) -> None:
    """The page."""
    heading("Operations")
    panel = Panel("operations.html")
    heading("Dead letters", 2)
    letters = ui.element("div")
    known: list[str] = []

    async def look() -> None:
        here = viewer.console.backend
        parts = await here.readiness.parts()
        breakers = {name: await each.wait_s() for name, each in here.circuits.items()}
        sizes, workers = await here.service.queue.sizes(), await here.service.queue.takers()
        known_of = {"parts": parts, "breakers": breakers, "replicas": await here.readiness.replicas()}
        panel.show(**known_of, sizes=sizes, workers=workers, tenant=viewer.tenant, path=PATH)
        dead = await here.service.dead(viewer.tenant)
        if [each.job_id for each in dead] != known or not letters.default_slot.children:
            known[:] = [each.job_id for each in dead]
            letters.clear()
            with letters:
                _letters(viewer, dead, refresh)

    refresh = viewer.follow(EVERY_S, look)


def _letters(viewer: Viewer, dead: list[Record], refresh: Act) -> None:
    if not dead:
        ui.label("None. A job that fails again and again at the same place comes here.").classes("note")
    for record in dead[:AT_ONCE]:
        with ui.element("section").classes("card letter").props(f"data-job={record.job_id}"):
            ui.html(shown("letter.html", job=record, path=PATH), sanitize=True)
            with ui.element("div").classes("actions"):
                for act, label, done in (
                    (actions.requeue, "Requeue", "Requeued: it goes on from its last checkpoint."),
                    (actions.discard, "Discard", "Discarded: the job has failed."),
                ):
                    do = partial(act, viewer.console.backend, viewer.caller, record.job_id, REQUEST_ID)
                    button = ui.button(label, on_click=partial(_do, viewer, do, done, refresh))
                    button.props(f'aria-label="{label} {record.job_id}"')
    if len(dead) > AT_ONCE:
        ui.label(f"{len(dead) - AT_ONCE} more.").classes("note")


async def _do(viewer: Viewer, do: Act, done: str, refresh: Act) -> None:
    await viewer.does(do, done)
    await refresh()
