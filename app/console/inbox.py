"""What waits for a human, the earliest time limit first."""

from nicegui import ui

from app.console import PATH
from app.console.escalation import asked
from app.console.frame import Viewer, empty, heading, shown
from app.jobs.records import Record
from graphs.state import Json

EVERY_S = 3.0
AT_ONCE = 20


async def inbox(viewer: Viewer) -> None:
    """The page."""
    heading("Inbox")
    waiting = ui.element("div")
    known: list[tuple[str, str]] = []

    async def look() -> None:
        asking = await viewer.console.glances.of(("inbox", viewer.tenant), lambda: _asking(viewer))
        now = [(each.job_id, escalation["escalation_id"]) for each, escalation in asking]
        if known == now and waiting.default_slot.children:  # forms that somebody fills in stay as they are
            return
        known[:] = now
        waiting.clear()
        with waiting:
            if not asking:
                empty("Nothing waits for you", "A job that reaches a limit, or goes in circles, asks here.")
            for record, escalation in asking[:AT_ONCE]:
                with ui.element("div").classes("asked").props(f"data-job={record.job_id}"):
                    ui.html(shown("asks.html", job=record, path=PATH), sanitize=True)
                    asked(viewer, record.job_id, escalation, refresh)
            if len(asking) > AT_ONCE:
                ui.label("More wait after these.").classes("note")

    refresh = viewer.follow(EVERY_S, look)


async def _asking(viewer: Viewer) -> list[tuple[Record, Json]]:
    """The jobs that wait for a human, with what they ask; one more than are shown."""
    service = viewer.console.backend.service
    waiting = (await service.waiting(viewer.tenant))[: AT_ONCE + 1]
    records = [await service.records.get(each.job_id) for each in waiting]  # a list leaves results out
    return [(each, each.result["escalation"]) for each in records if each.result and each.result.get("escalation")]
