"""One job: what it does now, what it costs, every call, its report, and its question if it waits."""

import json
from collections.abc import Callable

from nicegui import ui

from app.access.keys import Scope
from app.api import actions
from app.api.jobs import document
from app.api.models import JobDocument
from app.console import PATH, drawings
from app.console.escalation import asked
from app.console.frame import REQUEST_ID, Panel, Viewer, heading
from app.console.story import Story
from app.jobs.events import Event
from app.jobs.states import MEDIA, TERMINAL
from app.recording.recorder import record_of
from graphs.spending.spend import Spend

EVERY_S = 1.0
READ_AT_ONCE = 1000
LINES, CALLS = 400, 500  # shown at most, the newest
MOST = 20_000  # characters of an exchange
TABS = ("Overview", "Calls", "Sequence", "Record", "Report")
EXCHANGES = 100  # of the record that are shown
MERMAID = {"theme": "neutral", "securityLevel": "strict"}


class Page:
    """The page of one job. Its parts are drawn when they are looked at and something has changed."""

    def __init__(self, viewer: Viewer, job_id: str) -> None:
        self.viewer, self.job_id = viewer, job_id
        self.story = Story()
        self.job: JobDocument | None = None
        self.used = Spend()
        self.reported = ""  # the status for which a report was looked for
        self.has_report = False
        self.escalation = ""

    async def opened(self) -> None:
        """Read the job, and draw all."""
        await self._read()
        assert self.job
        heading(self.job.question)
        self.summary = Panel("summary.html")
        with ui.element("div").classes("actions"):
            self.cancel = ui.button("Cancel", on_click=self._cancel, color=None).props("outline").classes("risky")
            self.delete = ui.button("Delete", on_click=self._delete, color=None).props("outline").classes("risky")
        self.question = ui.element("div")
        with ui.tabs().props("align=left") as tabs:
            for name in TABS:
                ui.tab(name)
        chosen = "Report" if self.job.status in TERMINAL else "Overview"
        with ui.tab_panels(tabs, value=chosen, animated=False) as panels:
            with ui.tab_panel("Overview"):
                with ui.element("div").classes("pictures"):
                    self.plan = self._picture("Plan")
                    self.graph = self._picture("Graph")
                self.agents = Panel("agents.html")
                self.log = Panel("log.html")
            with ui.tab_panel("Calls"):
                self.flame, self.calls = Panel("flame.html"), Panel("calls.html")
            with ui.tab_panel("Sequence"):
                self.talk = self._picture("Who asked whom for what, the newest messages")
            with ui.tab_panel("Record"):
                self.record = Panel("record.html")
            with ui.tab_panel("Report"):
                self.report = ui.html(sanitize=True).classes("report")
        self.draws: dict[str, Callable[[], None]] = {
            "Overview": self._overview,
            "Calls": self._calls,
            "Sequence": self._talk,
        }
        self.panels = panels
        panels.on_value_change(self._draw)
        self.refresh = self.viewer.follow(EVERY_S, self._look)
        await self._draw()

    def _picture(self, label: str) -> ui.mermaid:
        with ui.element("figure").classes("picture"):
            with ui.element("figcaption"):
                ui.label(label)
            return (
                ui.mermaid("graph LR;", config=MERMAID).props("role=region tabindex=0").props(f'aria-label="{label}"')
            )

    async def _look(self) -> None:
        before = (self.story.last, self.job)
        await self._read()
        if (self.story.last, self.job) != before:
            await self._draw()

    async def _read(self) -> None:
        glances, what = self.viewer.console.glances, ("job", self.viewer.tenant, self.job_id)
        self.job, self.used = await glances.of(what, self._document)  # first: only the tenant may read on
        while events := await glances.of((*what, self.story.last), self._events):
            self.story.read(events)
            if len(events) < READ_AT_ONCE:
                break

    async def _events(self) -> list[Event]:
        return await self.viewer.console.backend.service.log.read(self.job_id, self.story.last, most=READ_AT_ONCE)

    async def _document(self) -> tuple[JobDocument, Spend]:
        here = self.viewer.console.backend
        record = await here.service.get(self.viewer.tenant, self.job_id)
        used = await here.service.deps.ledger.spend(self.job_id)
        return await document(here, record, used), used

    async def _draw(self) -> None:
        job = self.job
        assert job
        if job.status != self.reported:  # a dead letter may be requeued, and end otherwise
            self.has_report = job.status in TERMINAL and await self._report()
            self.reported = job.status
        self.summary.show(job=job, used=self.used, forms=list(MEDIA), path=PATH, reported=self.has_report)
        self.cancel.set_visibility(job.status not in TERMINAL and not job.cancel_requested and self._may_cancel())
        self.delete.set_visibility(job.status in TERMINAL and self.viewer.may(Scope.DELETE))
        self._ask(job)
        if draw := self.draws.get(self.panels.value):
            draw()
        if self.panels.value == "Record":
            await self._record()

    def _overview(self) -> None:
        console, story = self.viewer.console, self.story
        self.graph.set_content(drawings.graph(console.drawn, story.at_work))
        self.plan.set_content(drawings.plan(story.tasks) if story.tasks else "graph LR; none[no plan yet];")
        self.agents.show(used=self.used, tasks=story.tasks)
        self.log.show(lines=story.lines[-LINES:], left_out=max(0, len(story.lines) - LINES), gone=story.gone)

    def _calls(self) -> None:
        calls = sorted(self.story.calls, key=lambda each: each.starts)
        self.flame.show(**drawings.flame(self.story))
        self.calls.show(calls=calls[-CALLS:], left_out=max(0, len(calls) - CALLS))

    def _talk(self) -> None:
        self.talk.set_content(drawings.sequence(self.story.talk))

    async def _record(self) -> None:
        client = self.viewer.console.backend.service.client
        found = await record_of(client, self.job_id, most=EXCHANGES + 1)
        names = ("kind", "agent", "server", "tool", "model", "seconds", "cut")
        lines = [
            {**{name: line.get(name) for name in names}, "text": json.dumps(line, indent=2, ensure_ascii=False)[:MOST]}
            for _, line in found[:EXCHANGES]
        ]
        self.record.show(lines=lines, more=len(found) > EXCHANGES, job_id=self.job_id)

    async def _report(self) -> bool:
        """Show the report; say whether there is one."""
        console = self.viewer.console
        shown = await console.reports.article(console.backend, self.viewer.tenant, self.job_id)
        self.report.set_content(shown or "<p>This job ended without a report.</p>")
        return shown is not None

    def _ask(self, job: JobDocument) -> None:
        asks = str((job.escalation or {}).get("escalation_id", ""))
        if asks != self.escalation:
            self.escalation = asks
            self.question.clear()
            with self.question:
                if job.escalation:
                    asked(self.viewer, self.job_id, job.escalation, self.refresh)

    def _may_cancel(self) -> bool:
        return self.viewer.may(Scope.CANCEL, Scope.SUBMIT)

    async def _cancel(self) -> None:
        console = self.viewer.console
        await self.viewer.does(
            lambda: actions.cancel(console.backend, self.viewer.caller, self.job_id, REQUEST_ID),
            "The job stops at its next step.",
        )
        await self.refresh()

    async def _delete(self) -> None:
        console = self.viewer.console
        with ui.dialog() as sure, ui.card():
            ui.label("Delete this job with its report, evidence and events? What it cost stays in the ledger.")
            with ui.element("div").classes("actions"):
                ui.button("Keep it", on_click=lambda: sure.submit(False))
                ui.button("Delete it", on_click=lambda: sure.submit(True)).props("color=negative")
        if await sure and await self.viewer.does(
            lambda: actions.delete(console.backend, self.viewer.caller, self.job_id, REQUEST_ID)
        ):
            ui.navigate.to("/")


async def job(viewer: Viewer, job_id: str) -> None:
    """The page."""
    await Page(viewer, job_id).opened()
