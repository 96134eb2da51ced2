"""The pages as their readers use them: their blocks, and a checkout to try them in."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.app.command_line import environment

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def handbook() -> list[str]:
    """The pages of the handbook, in the order of mkdocs.yml: `docs/operating.md`."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = list(_named(config["nav"]))
    return [f"docs/{name}" if (ROOT / "docs" / name).exists() else name for name in named]


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from _named(each)


def page(name: str) -> str:
    """The text of a page: `docs/operating.md`."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of this language, in their order."""
    return [block for name, block in _BLOCK.findall(text) if name == language]


def commands(text: str) -> list[str]:
    """The lines that a reader is told to type."""
    return [line for block in blocks(text, "sh") for line in block.splitlines()]


def section(text: str, heading: str) -> str:
    """What is under this heading, to the next one."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def copied_to(folder: Path) -> Path:
    """A checkout with the environment that is already built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [each for each in listed.stdout.decode().split("\0") if each]
    compiled = [cache_from_source(each) for each in names if each.endswith(".py")]  # else each program would do it anew
    for name in (each for each in [*names, *compiled] if (ROOT / each).exists()):
        target = folder / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    (folder / "copy" / ".venv").symlink_to(ROOT / ".venv")
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        # Older than the environment: make must not install this copy into it.
        os.utime(folder / "copy" / name, (0, 0))
    return folder / "copy"


def run(folder: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A line that a reader types in this folder."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment({"COLUMNS": "400", **settings}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def tollgate(folder: Path, arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The program of this copy: its own modules, not those of the installed checkout."""
    return run(folder, f"{sys.executable} -m app.cli {arguments}", PYTHONPATH=str(folder), **settings)
