"""What `bounded.Bounded` runs in its tests: does as it is told."""

import os
from typing import Any

from mcp_servers.base import bounded

SECONDS = 0.5
MEMORY = 256 * 1024 * 1024


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Use up what the request says, and tell what this process is."""
    while request.get("forever"):
        pass
    try:
        held = bytes(request.get("bytes", 0))
    except MemoryError:
        return {"too_much": True}
    read = os.read(request["file"], 100).decode() if "file" in request else ""
    return {"pid": os.getpid(), "environment": sorted(os.environ), "held": len(held), "read": read}


if __name__ == "__main__":
    bounded.serve(answer, SECONDS, MEMORY)
