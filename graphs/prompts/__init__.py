"""The prompts of the graph's own nodes, as Markdown beside this file."""

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def prompt(name: str) -> str:
    """The text of `<name>.md`. Read once: the same prefix at every call lets a provider cache it."""
    return (_HERE / f"{name}.md").read_text(encoding="utf-8")
