"""The audit trail of the reader's tenant, the newest entries first, and whether its chain is whole."""

from nicegui import ui

from app.access.audit import Audit, Entry
from app.console import PATH
from app.console.frame import Panel, Viewer, heading

SHOWN = 200


async def audit(viewer: Viewer) -> None:
    """The page."""
    heading("Audit")
    trail = viewer.console.backend.audit
    panel, verdict = Panel("audit.html"), ui.label().props("role=status")
    panel.show(entries=[each.data for each in await _newest(trail, viewer.tenant)], most=SHOWN)

    async def verify() -> None:
        async def act() -> None:
            broken = await trail.verify()
            whole = "No entry was changed, deleted or added" + ("." if trail.keyed else " by accident: set a secret.")
            verdict.set_text(f"{broken.id}: {broken.why}." if broken else whole)

        await viewer.does(act)

    with ui.element("div").classes("actions"):
        ui.button("Verify the chain", on_click=verify)
        ui.html(f'<a href="{PATH}/audit.jsonl" download>Export all as JSON lines</a>', sanitize=True)


async def _newest(trail: Audit, tenant: str) -> list[Entry]:
    found: list[Entry] = []
    async for entry in trail.backwards():
        found += [entry] if entry.data.get("tenant") == tenant else []
        if len(found) == SHOWN:
            break
    return found
