"""The process that reads and indexes files, limited in time and memory: a small PDF can take hours, or gigabytes."""

import sys
from pathlib import Path
from typing import Any

from mcp_servers.base import bounded
from mcp_servers.base.formats import Unreadable, read_file
from mcp_servers.knowledge_base.documents import document_of
from mcp_servers.knowledge_base.index import part_of
from mcp_servers.knowledge_base.passages import passages_of

PROCESS_MEMORY = 768 * 1024 * 1024


def main(time_limit_s: float) -> None:
    """Answer requests until stdin closes."""
    bounded.serve(lambda request: answer(Path(request["path"])), time_limit_s, PROCESS_MEMORY)


def answer(path: Path) -> dict[str, Any]:
    """The fields of a `RawText` and the index of its passages, or `unreadable` with the reason."""
    try:
        raw = read_file(path)
        passages = passages_of(document_of(raw, path, path.name, ""))
        return {"raw": vars(raw), "index": part_of(each.searched for each in passages).packed()}
    except Unreadable as reason:
        return {"unreadable": str(reason)}
    except MemoryError:
        return {"unreadable": "needs too much memory; split it"}


if __name__ == "__main__":
    main(float(sys.argv[1]))
