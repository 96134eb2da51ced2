"""`python odd_program.py FOLDER FIRST LATER`: speaks MCP over stdio, the first time in one way and then in another.

It needs nothing but Python, so it starts at once. Each start adds its pid to FOLDER/pids.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BIG = 32 * 1024 * 1024
TOOL = {"name": "add", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}


def main() -> None:
    folder, first, later = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    pids = folder / "pids"
    manner = later if pids.exists() else first
    with pids.open("a") as out:
        out.write(f"{os.getpid()}\n")
    if manner == "exit":
        sys.exit(3)
    if manner == "junk":
        say(b'Welcome to the server\n\xff\xfe\x00 is no text\n{"level": "info"}\n[1, 2]\n\n')
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer(message, manner, folder)


def answer(message: dict[str, Any], manner: str, folder: Path) -> None:
    method, head = message["method"], {"jsonrpc": "2.0", "id": message["id"]}
    if method == "tools/call":
        (folder / "asked").touch()
    if manner in {method, f"{method} then deaf"}:  # never answered
        time.sleep(1000 if manner.endswith("deaf") else 0)
        return
    result: dict[str, Any] = {}
    if method == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}}
        result["serverInfo"] = {"name": "odd", "version": "1"}
    elif method == "tools/list":
        result = {"tools": [TOOL]}
    elif method == "tools/call":
        text = "The sum is 42." if manner != "large" else "x" * BIG
        result = {"content": [{"type": "text", "text": text}]}
    if method == "tools/call" and manner == "malformed":
        say(f'{{"result": {{"content": nothing}}, "jsonrpc": "2.0", "id": {message["id"]}}}\n'.encode())
        return
    say(json.dumps({**head, "result": result}).encode() + b"\n")


def say(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
