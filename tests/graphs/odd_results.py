"""An MCP server of strangers: real HTTP, and each tool gives exactly the result that a test wrote down, well or ill."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.http_server import served

Json = dict[str, Any]


def texts(*said: str) -> list[Json]:
    """Blocks of text."""
    return [{"type": "text", "text": each} for each in said]


@contextlib.contextmanager
def giving(
    results: Mapping[str, Any], schemas: Mapping[str, Json] | None = None, inputs: Json | None = None
) -> Iterator[str]:
    """The address of a server whose tools, by name, give these results, promise these schemas, and take `inputs`.
    Their titles are `Title of <name>`."""
    promised = {name: {"outputSchema": schema} for name, schema in (schemas or {}).items()}
    fixed = {"inputSchema": inputs or {"type": "object"}, "annotations": {"openWorldHint": False}}
    tools = [{"name": name, "title": f"Title of {name}", **fixed, **promised.get(name, {})} for name in results]

    async def answer(request: Request) -> Response:
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        match message["method"]:
            case "initialize":
                result: Any = {"capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
                result["protocolVersion"] = message["params"]["protocolVersion"]
            case "tools/list":
                result = {"tools": tools}
            case _:
                result = results[message["params"]["name"]]
        told = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})  # with NaN, as Python does
        return Response(told, media_type="application/json")

    with served(Starlette(routes=[Route("/mcp", answer, methods=["POST"])])) as address:
        yield f"{address}/mcp"
