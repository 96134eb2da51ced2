"""The process that reads files, limited in time and memory: a small PDF can take hours, or gigabytes."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcp_servers.base import bounded
from mcp_servers.base.formats import Unreadable, read_file

PROCESS_MEMORY = 768 * 1024 * 1024
FOR_PAGES = 2 / 3  # of the time limit: a long PDF is then cut at a page, instead of being lost


def main(time_limit_s: float) -> None:
    """Answer requests until stdin closes."""
    bounded.serve(lambda request: answer(Path(request["path"]), time_limit_s * FOR_PAGES), time_limit_s, PROCESS_MEMORY)


def answer(path: Path, seconds: float) -> dict[str, Any]:
    """The fields of a `RawText`, or `unreadable` with the reason."""
    try:
        raw = asdict(read_file(path, seconds))
        # Front matter may hold dates. Serialized here, so that exploding YAML aliases hit this process's limits.
        return raw | {"metadata": json.loads(json.dumps(raw["metadata"], default=str))}
    except Unreadable as reason:
        return {"unreadable": str(reason)}
    except MemoryError:
        return {"unreadable": "needs too much memory; split it"}


if __name__ == "__main__":
    main(float(sys.argv[1]))
