"""The audit trail of the reader's tenant, the newest entries first, and whether its chain is whole."""

from nicegui import ui

from app.access.audit import Audit, Entry
from app.console import PATH
from app.console.frame import Panel, Viewer, heading

SHOWN = 200
LOOKED_AT = 20_000  # entries of all tenants


async def audit(viewer: Viewer) -> None:
    """The page."""
    heading("Audit")
    trail = viewer.console.backend.audit

    async def verify() -> None:
        async def act() -> None:
            broken = await trail.verify()
            doubt = "" if trail.keyed else " Without TOLLGATE_AUDIT_SECRET, this detects accidents only."
            verdict.set_text(f"{broken.id}: {broken.why}." if broken else f"The chain is whole.{doubt}")

        await viewer.does(act)

    with ui.element("div").classes("actions"):
        ui.button("Verify the chain", on_click=verify)
        ui.html(f'<a href="{PATH}/audit.jsonl" download>Export all as JSON lines</a>', sanitize=True)
    verdict = ui.label().props("role=status")
    entries = [each.data for each in await _newest(trail, viewer.tenant)]
    Panel("audit.html").show(entries=entries, most=SHOWN, looked_at=LOOKED_AT, path=PATH)


async def _newest(trail: Audit, tenant: str) -> list[Entry]:
    found: list[Entry] = []
    left = LOOKED_AT
    async for entry in trail.backwards():
        found += [entry] if entry.data.get("tenant") == tenant else []
        left -= 1
        if len(found) == SHOWN or not left:
            break
    return found
