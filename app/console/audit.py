"""The audit trail of the reader's tenant, the newest entries first, and whether its chain is whole."""

from nicegui import ui

from app.console.frame import Panel, Viewer, heading

SHOWN = 200


async def audit(viewer: Viewer) -> None:
    """The page."""
    heading("Audit")
    trail = viewer.console.backend.audit
    panel, verdict = Panel("audit.html"), ui.label().props("role=status")
    panel.show(entries=[each.data for each in await trail.newest_of(viewer.tenant, SHOWN)], most=SHOWN)

    async def verify() -> None:
        async def act() -> None:
            broken = await trail.verify()
            whole = "No entry was changed, deleted or added" + ("." if trail.keyed else " by accident: set a secret.")
            verdict.set_text(f"{broken.id}: {broken.why}." if broken else whole)

        await viewer.does(act)

    ui.button("Verify the chain", on_click=verify)
