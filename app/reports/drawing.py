"""Draws a series as SVG. Colours for paper are in its attributes; the page's style replaces them by class in the dark.

By hand, because the API must not start a JavaScript engine for a few bars: vl-convert takes seconds and 150 MB.
"""

import html
import math
from collections.abc import Mapping

from app.reports.exhibits import cut
from app.reports.figures import Points, Series

WIDTH, HEIGHT, ROW = 640, 260, 26
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 26
FONTS = "Noto Sans, DejaVu Sans, Liberation Sans, sans-serif"
MOST_COLUMNS = 14  # bars that stand; more points in time are a line
LABEL_CHARS, LABEL_WIDTH = 28, 190
# Told apart without colour, too: by dashes, and by names at the ends.
_LINES = (("#1d5fa8", ""), ("#b3541e", "7 3"), ("#2e7d4f", "2 3"), ("#7a4fa3", "10 3 2 3"), ("#8a6d00", "4 4"))
_TEXT, _SOFT, _GRID = "#1f2328", "#5c6570", "#d9dde2"


def svg(series: Series) -> str:
    """The chart."""
    if not series.in_time:
        drawn, height = _bars(series.groups[""])
    elif len(series.groups) == 1 and len(series.groups[""]) <= MOST_COLUMNS:
        drawn, height = _columns(series.groups[""]), HEIGHT
    else:
        drawn, height = _lines(series.groups), HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{_escaped(described(series))}" font-family="{FONTS}" font-size="12">{drawn}</svg>'
    )


def described(series: Series) -> str:
    """The chart in words, for those who cannot see it."""
    ends = []
    for name, points in series.groups.items():
        (first, low), *_, (last, high) = points.items()
        ends.append(f"{name + ': ' if name else ''}{short(low)} ({first}) to {short(high)} ({last})")
    told = ends if series.in_time else [f"{label}: {short(value)}" for label, value in series.groups[""].items()]
    return f"{series.title}. {'; '.join(told)}"


def short(value: float) -> str:
    """`12.3M`: a number for an axis."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.4g}"


def ticks(low: float, high: float) -> list[float]:
    """Round values over this range, which includes 0."""
    low, high = min(low, 0), max(high, 0)
    rough = (high - low or 1) / 4
    step = 10 ** math.floor(math.log10(rough))
    step *= next(each for each in (1, 2, 2.5, 5, 10) if step * each >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [each * step for each in range(first, max(last, first + 1) + 1)]


def _columns(points: Points) -> str:
    marks = ticks(min(points.values()), max(points.values()))
    wide = (WIDTH - LEFT - RIGHT) / len(points)
    parts = [_grid(marks)]
    for at, (label, value) in enumerate(points.items()):
        x, y, zero = LEFT + at * wide, _y(value, marks), _y(0, marks)
        parts.append(_rect(x + wide * 0.18, min(y, zero), wide * 0.64, abs(y - zero), label, value))
        parts.append(_text(x + wide / 2, y - 4 if value >= 0 else y + 13, short(value), "middle", "v"))
        parts.append(_text(x + wide / 2, HEIGHT - 8, label, "middle"))
    return "".join(parts)


def _lines(groups: Mapping[str, Points]) -> str:
    labels = list(next(iter(groups.values())))
    values = [value for points in groups.values() for value in points.values()]
    marks = ticks(min(values), max(values))
    right = RIGHT + (110 if len(groups) > 1 else 20)
    step = (WIDTH - LEFT - right) / max(1, len(labels) - 1)
    every = math.ceil(len(labels) / 8)
    parts = [_grid(marks, right)]
    parts += [_text(LEFT + at * step, HEIGHT - 8, labels[at], "middle") for at in range(0, len(labels), every)]
    names = sorted((_y(points[labels[-1]], marks), name) for name, points in groups.items())
    lowest = -math.inf
    places = {}
    for y, name in names:
        places[name] = lowest = max(y, lowest + 13)
    for index, (name, points) in enumerate(groups.items()):
        colour, dashes = _LINES[index]
        path = " ".join(f"{LEFT + at * step:.1f},{_y(value, marks):.1f}" for at, value in enumerate(points.values()))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(
            f'<polyline class="l l{index}" points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
        )
        if name:
            parts.append(_text(WIDTH - right + 6, places[name] + 4, cut(name, 16), "start", f"n l{index}", colour))
    return "".join(parts)


def _bars(points: Points) -> tuple[str, int]:
    """Bars that lie, so that their names have room."""
    marks = ticks(min(points.values()), max(points.values()))
    across = WIDTH - LABEL_WIDTH - 60

    def x(value: float) -> float:
        return LABEL_WIDTH + (value - marks[0]) / (marks[-1] - marks[0]) * across

    parts = []
    for at, (label, value) in enumerate(points.items()):
        y = TOP + at * ROW
        parts.append(_rect(min(x(0), x(value)), y, abs(x(value) - x(0)), ROW * 0.66, label, value))
        parts.append(_text(LABEL_WIDTH - 8, y + 13, cut(label, LABEL_CHARS), "end"))
        parts.append(_text(max(x(0), x(value)) + 5, y + 13, short(value), "start", "v"))
    height = TOP + len(points) * ROW + 4
    parts.append(f'<line class="g" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 4}" stroke="{_SOFT}"/>')
    return "".join(parts), height


def _grid(marks: list[float], right: float = RIGHT) -> str:
    lines = [
        f'<line class="g" x1="{LEFT}" x2="{WIDTH - right}" y1="{_y(mark, marks):.1f}" y2="{_y(mark, marks):.1f}" '
        f'stroke="{_GRID if mark else _SOFT}"/>{_text(LEFT - 6, _y(mark, marks) + 4, short(mark), "end")}'
        for mark in marks
    ]
    return "".join(lines)


def _y(value: float, marks: list[float]) -> float:
    return TOP + (marks[-1] - value) / (marks[-1] - marks[0]) * (HEIGHT - TOP - BOTTOM)


def _rect(x: float, y: float, width: float, height: float, label: str, value: float) -> str:
    told = _escaped(f"{label}: {value}")
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}"'
    return f'<rect class="b" {place} fill="{_LINES[0][0]}"><title>{told}</title></rect>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "t", colour: str = "") -> str:
    fill = colour or (_TEXT if kind == "v" else _SOFT)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{_escaped(words)}</text>'


def _escaped(words: str) -> str:
    """For XML, which has no control characters."""
    return html.escape("".join(each if each.isprintable() else " " for each in words))
