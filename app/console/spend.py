"""A day's spend against its limits, what it went to, where it is going, and what could cost less."""

from datetime import date, timedelta

from nicegui import ui

from app.access.keys import Scope
from app.console import PATH
from app.console.frame import Panel, Viewer, heading, shown
from app.work.spending import DAY_S, DAYS_KEPT, Spending
from graphs.spending.parts import SLOT_S
from graphs.state import Json

EVERY_S = 3.0
WIDTH, HEIGHT = 960, 90  # pixels of the chart


async def spend(viewer: Viewer) -> None:
    """The page."""
    heading("Spend")
    today = viewer.console.backend.service.deps.now().date()
    days = {str(today - timedelta(days=back)): _named(today, back) for back in range(DAYS_KEPT)}
    with ui.element("div").classes("filters"):
        day = ui.select(days, value=str(today), label="Day (UTC)")
    panel = Panel()

    async def look() -> None:
        chosen = str(day.value)
        what = ("spend", viewer.tenant, viewer.may(Scope.ADMIN), chosen)
        panel.put(await viewer.console.glances.of(what, lambda: _spent(viewer, date.fromisoformat(chosen))))

    day.on_value_change(viewer.follow(EVERY_S, look))


async def _spent(viewer: Viewer, day: date) -> str:
    """A day's spend as HTML."""
    found = await viewer.console.backend.service.spend(viewer.tenant, day, everybody=viewer.may(Scope.ADMIN))
    whole = [{"of": each, "bars": _bars(each)} for each in (found.tenant, found.deployment) if each]
    return shown("spend.html", shown=whole, path=PATH, **_sizes())


def _named(today: date, back: int) -> str:
    return "today" if back == 0 else str(today - timedelta(days=back))


def _bars(spending: Spending) -> list[Json]:
    """The bars of the chart: a quarter of an hour each."""
    top = max([each.cost_usd for each in spending.quarters], default=0.0) or 1.0
    width = WIDTH * SLOT_S / DAY_S
    bars: list[Json] = []
    for each in spending.quarters:
        seconds = each.at.hour * 3600 + each.at.minute * 60
        height = max(1.0, HEIGHT * each.cost_usd / top)
        bars.append(
            {"x": seconds * WIDTH / DAY_S, "width": width - 1, "y": HEIGHT - height, "height": height, "of": each}
        )
    return bars


def _sizes() -> Json:
    return {"width": WIDTH, "height": HEIGHT, "hours": [(hour, hour * WIDTH / 24) for hour in range(0, 25, 6)]}
