"""The graph for LangGraph Studio: without a checkpointer, because the platform has its own.

Loading opens no connection. `make studio` starts what a run needs and passes the addresses; otherwise the defaults of
`tollgate mcp` and of a local Redis are used when a node first needs them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from openai import DefaultAsyncHttpxClient

from app.config import ports
from app.config.settings import Settings, load
from app.running.runtime import dependencies, tool_gateway
from app.store.redis import connect
from graphs.research import ResearchGraph, build_research_graph

DEFAULT_REDIS = "redis://127.0.0.1:6379"
DEFAULT_MODEL = f"http://127.0.0.1:{ports.STAND_IN}/v1"


@contextlib.asynccontextmanager
async def graph() -> AsyncIterator[ResearchGraph]:
    """The factory named in `langgraph.json`. The server enters and leaves it for each run."""
    settings = await asyncio.to_thread(load)  # reads files, and the server refuses calls that block its loop
    async with contextlib.AsyncExitStack() as stack:
        client = connect(settings.redis_url.get_secret_value() if settings.redis_url else DEFAULT_REDIS)
        stack.push_async_callback(client.aclose)
        http = await stack.enter_async_context(await asyncio.to_thread(DefaultAsyncHttpxClient))
        gateway = await stack.enter_async_context(tool_gateway(settings, _servers(settings), client))
        model = settings.model_url or DEFAULT_MODEL
        deps = await asyncio.to_thread(dependencies, settings, model, http, gateway, client)
        yield await asyncio.to_thread(build_research_graph, deps)


def _servers(settings: Settings) -> dict[str, str]:
    here = {name: f"http://127.0.0.1:{port}/mcp" for name, port in ports.MCP.items() if name in settings.servers}
    return here | {name: server.address for name, server in settings.mcp.items()}
