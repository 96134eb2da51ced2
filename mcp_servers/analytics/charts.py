"""Draws a series as SVG: a Vega-Lite specification rendered by vl-convert, without network."""

import textwrap
from typing import Any, Literal

from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.analytics.measures import DATA_VERSION
from mcp_servers.analytics.series import Observed, Series, clean, missing_between, observe, some
from mcp_servers.base.results import Chart

Kind = Literal["line", "bar"]

MAX_CATEGORIES = 40
COLOUR = "#2b6cb0"
# vl-convert includes the first font, so that the layout does not depend on the machine.
FONTS = "Liberation Sans, Arial, Helvetica, sans-serif"


def chart(series: Series, kind: Kind, title: str) -> Chart:
    """Draw a line or bars over time, or bars by category. Raises ToolError if the series does not fit."""
    import vl_convert  # noqa: PLC0415

    observed = observe(series)
    text = clean(title)
    if not text:
        raise ToolError("the title is empty; say what the chart shows")
    specification = _specification(observed, kind, text)
    svg = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    return Chart(title=text, svg=svg, data_version=DATA_VERSION)


def _specification(observed: Observed, kind: Kind, title: str) -> dict[str, Any]:
    return {
        "description": title,
        "title": {
            "text": textwrap.wrap(title, 80),
            "subtitle": [line for note in _subtitle(observed) for line in textwrap.wrap(note, 110)],
            "anchor": "start",
        },
        "data": {"values": _rows(observed)},
        "mark": {"type": kind, "color": COLOUR} | ({"point": {"color": COLOUR}} if kind == "line" else {}),
        **(_over_time(observed) if observed.periods else _by_category(observed, kind)),
        "config": {"font": FONTS, "view": {"stroke": None}},
    }


def _subtitle(observed: Observed) -> list[str]:
    missing = missing_between(observed.periods)
    return [*observed.notes, *([f"missing: {some(missing)}"] if missing else [])]


def _rows(observed: Observed) -> list[dict[str, Any]]:
    pairs = zip(observed.labels, observed.values, strict=True)
    return [{"label": label, "value": value} for label, value in pairs]


def _over_time(observed: Observed) -> dict[str, Any]:
    axis = {"labelOverlap": "greedy", "labelAngle": 0, "title": None}
    return {
        "width": 720,
        "height": 320,
        "encoding": {
            "x": {"field": "label", "type": "ordinal", "axis": axis},
            "y": _values(observed),
        },
    }


def _by_category(observed: Observed, kind: Kind) -> dict[str, Any]:
    if kind == "line":
        raise ToolError("a line needs labels in time (2024, 2024-Q1, 2024-01); use kind 'bar' for categories")
    if len(observed.labels) > MAX_CATEGORIES:
        raise ToolError(f"{len(observed.labels)} bars are too many to read; keep at most {MAX_CATEGORIES}")
    axis = {"labelLimit": 260, "title": None}
    return {
        "width": 560,
        "height": {"step": 24},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": "-x", "axis": axis},
            "x": _values(observed),
        },
    }


def _values(observed: Observed) -> dict[str, Any]:
    """The value axis, from zero. Vega's `G` for billions becomes `B`."""
    scale = "~s" if max(abs(value) for value in observed.values) >= 1000 else "~g"
    axis = {"labelExpr": f"replace(format(datum.value, '{scale}'), 'G', 'B')", "title": observed.name}
    return {"field": "value", "type": "quantitative", "scale": {"zero": True}, "axis": axis}
