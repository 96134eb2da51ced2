"""The pictures of a job: graph, plan and sequence as Mermaid, calls over time as a flame chart in SVG. Pure.

Mermaid text has only names of ours and ids: whatever a model or a user wrote is left out or reduced to letters.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from app.console.story import Story
from graphs.state import Json

CALLS = 1500  # drawn at most, the newest
MESSAGES = 60
WIDTH, ROW, LEFT, LEAST = 1000, 18, 110, 2  # pixels
_STATES = {"done": "done", "running": "lit", "failed": "failed", "withdrawn": "off", "pending": "open"}
_CLASSES = (
    "classDef lit fill:#f59e0b,stroke:#92400e,color:#1c1917;",
    "classDef done fill:#86efac,stroke:#166534,color:#14532d;",
    "classDef failed fill:#fca5a5,stroke:#991b1b,color:#450a0a;",
    "classDef off fill:#d6d3d1,stroke:#57534e,color:#292524;",
    "classDef open fill:#e7e5e4,stroke:#57534e,color:#292524;",
)


def graph(drawn: str, at_work: Collection[str]) -> str:
    """The graph, with the nodes at work lit."""
    lit = [f"class {_name(each)} lit;" for each in at_work if re.search(rf"\b{re.escape(each)}\b", drawn)]
    return "\n".join([drawn.rstrip(), *_CLASSES[:1], *lit])


def plan(tasks: Mapping[str, Json]) -> str:
    """The plan: a task leads to those that build on it. Colours are their states, which are also named."""
    lines = ["graph LR;", *_CLASSES]
    for name, task in tasks.items():
        state = str(task["status"])
        lines.append(f'{_name(name)}["{_name(name)} {_name(task["agent"])}<br/>{_name(state)}"];')
        lines.append(f"class {_name(name)} {_STATES.get(state, 'open')};")
        lines += [f"{_name(before)} --> {_name(name)};" for before in task["depends_on"]]
    return "\n".join(lines)


def sequence(talk: Sequence[tuple[str, str, str]]) -> str:
    """Who asked whom for what, the newest messages; a run of equal ones is one with its number."""
    shown = talk[-MESSAGES:]
    counted: list[tuple[tuple[str, str, str], int]] = []
    for each in shown:
        if counted and counted[-1][0] == each:
            counted[-1] = each, counted[-1][1] + 1
        else:
            counted.append((each, 1))
    lines = ["sequenceDiagram"]
    for (who, whom, what), times in counted:
        often = f" x{times}" if times > 1 else ""
        lines.append(f"{_name(who)}->>{_name(whom)}: {_words(what)}{often}")
    return "\n".join(lines)


def flame(story: Story) -> Json:
    """What the template of the flame chart draws: lanes per agent, one more where calls overlap."""
    calls = story.calls[-CALLS:]
    from_s = min((each.starts for each in calls), default=0.0)
    span = max(story.seconds - from_s, 0.001)
    scale = (WIDTH - LEFT - LEAST) / span
    bars: list[Json] = []
    labels: list[Json] = []
    row = 0
    for agent in dict.fromkeys(each.agent for each in calls):
        ends: list[float] = []  # of the last bar in each row of this agent
        for call in sorted((each for each in calls if each.agent == agent), key=lambda each: each.starts):
            at = next((at for at, end in enumerate(ends) if end <= call.starts), len(ends))
            ends[at : at + 1] = [call.ends]
            x = LEFT + (call.starts - from_s) * scale
            place = {"x": round(x, 1), "y": (row + at) * ROW, "width": round(max(LEAST, call.seconds * scale), 1)}
            bars.append(place | {"call": call})
        labels.append({"y": row * ROW, "agent": agent})
        row += len(ends)
    ticks = [{"x": round(LEFT + part * span * scale, 1), "s": from_s + part * span} for part in (0, 0.25, 0.5, 0.75, 1)]
    size = {"width": WIDTH, "height": row * ROW, "row": ROW, "left": LEFT}
    return {**size, "bars": bars, "labels": labels, "ticks": ticks, "left_out": len(story.calls) - len(calls)}


def _name(text: str) -> str:
    return re.sub(r"\W", "_", text, flags=re.ASCII)[:40] or "_"


def _words(text: str) -> str:
    return re.sub(r"[^\w .-]", " ", text, flags=re.ASCII)[:60]
