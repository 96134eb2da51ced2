"""Today's spend against its limits."""

from app.console.frame import Panel, Viewer, heading

EVERY_S = 3.0


async def spend(viewer: Viewer) -> None:
    """The page."""
    heading("Spend")
    panel = Panel("spend.html")

    async def look() -> None:
        deps = viewer.console.backend.service.deps
        today = await deps.ledger.spent_today(viewer.tenant)
        panel.show(today=today, tenant=viewer.tenant)

    viewer.follow(EVERY_S, look)
