"""MCP tools with the adapters' defaults: a session per call, results of any size, no deadline."""

from collections.abc import Mapping
from typing import Any

import httpx
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient  # noqa: TID251  the default use that is compared with
from mcp.types import CallToolResult, TextContent

from graphs.errors import ToolFailure
from graphs.evidence.store import Evidence, filled


def _client(
    headers: dict[str, str] | None = None, timeout: httpx.Timeout | None = None, auth: httpx.Auth | None = None
) -> httpx.AsyncClient:
    """As the adapters' own, which loads all authorities' certificates for each call; there is no TLS here."""
    return httpx.AsyncClient(headers=headers, timeout=timeout, auth=auth, follow_redirects=True, verify=False)


class Tools:
    """The tools of some servers, and their results in one run.

    The agents' prompts mention evidence ids: results get them here, and arguments may name them. Nothing else is added
    to the adapters.
    """

    def __init__(self, servers: Mapping[str, str]) -> None:
        self._servers = servers
        self.evidence: dict[str, Evidence] = {}

    async def load(self) -> list[BaseTool]:
        """All tools of all servers, named `server__tool`. Raises the transport's errors."""
        shared = {"transport": "streamable_http", "httpx_client_factory": _client}
        connections: Any = {name: {**shared, "url": url} for name, url in self._servers.items()}
        client = MultiServerMCPClient(connections, tool_interceptors=[self._call])
        tools = []
        for server in self._servers:
            for tool in await client.get_tools(server_name=server):
                tool.name = f"{server}__{tool.name}"
                tools.append(tool)
        return tools

    async def _call(self, request: Any, handler: Any) -> CallToolResult:
        try:
            arguments = filled(request.args, self.evidence)
        except (ToolFailure, LookupError) as error:
            return CallToolResult(isError=True, content=[TextContent(type="text", text=str(error))])
        result: CallToolResult = await handler(request.override(args=arguments))
        if result.isError:
            return result
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        name = f"E{len(self.evidence) + 1}"
        self.evidence[name] = Evidence(
            task="",
            server=request.server_name,
            tool=request.name,
            arguments=request.args,
            text=text,
            content=result.structuredContent or {},
            duration_ms=0,
        )
        return CallToolResult(content=[TextContent(type="text", text=f"{name}\n{text}")])
