"""Writes what is generated into the docs: `.env.example` and the picture of the graph in README.md.

`python docs/generate.py` writes; with `--check` it only says what is out of date, and exits with 1.
"""

import re
import sys
from pathlib import Path

from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from app.config.settings import OPENAI_URL, Settings, variable
from app.running.runtime import dependencies
from graphs.research import build_research_graph
from graphs.tools.gateway import ToolGateway

ROOT = Path(__file__).parents[1]
PICTURE = re.compile(r"(?<=<!-- graph -->\n).*?(?=<!-- /graph -->)", re.DOTALL)
HEAD = "# Every setting, with its default. Copy to .env and change what you need; all are optional.\n"


def main() -> int:
    """Write or check; the exit code."""
    readme = ROOT / "README.md"
    wanted = {ROOT / ".env.example": env_example(), readme: PICTURE.sub(lambda _: picture(), readme.read_text())}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_text(wanted[path])
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is out of date; run: make docs\n")
    return 1 if stale else 0


def env_example() -> str:
    """One line of explanation and one with the default for each setting."""
    return "\n".join([HEAD, *(_setting(name) for name in Settings.model_fields)]) + "\n"


def picture() -> str:
    """The graph as Mermaid, without the styles."""
    deps = dependencies(Settings(_env_file=None), OPENAI_URL, DefaultAsyncHttpxClient(), ToolGateway({}), Redis())
    graph = build_research_graph(deps)
    drawn = graph.get_graph().draw_mermaid(with_styles=False)
    return f"```mermaid\n{drawn.strip()}\n```\n"


def _setting(name: str) -> str:
    field, written = Settings.model_fields[name], variable(name)
    default = field.default
    shown = "" if default is None or default == {} else str(default).lower() if isinstance(default, bool) else default
    return f"# {field.description}\n# {'MCP__SALES__URL' if written == 'MCP' else written}={shown}"


if __name__ == "__main__":
    sys.exit(main())
