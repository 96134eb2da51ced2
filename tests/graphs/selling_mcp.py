"""An MCP server that sells: it keeps an invoice of what each buyer owes, and tells the cost as it is ordered to."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.types import CallToolResult, TextContent, ToolAnnotations

from tests.graphs.unruly_mcp import Fault, Unruly

PRICE = 8_000  # micro-dollars: what `buy` says that it costs
COSTS: dict[str, tuple[int, Any]] = {  # what is owed in micro-dollars, and what is told
    "told": (PRICE, "0.008"),
    "untold": (PRICE, None),
    "cheap": (1_235, 0.0012345),
    "dear": (20_000, "0.02"),
    "tiny": (1, 1e-9),
    "failed": (PRICE, None),
    "refunded": (0, 0),
    "busy": (0, None),
    "unknown": (PRICE, "a lot"),
}
OWED_UNANSWERED = {"500": PRICE, "dropped": PRICE, "hang": PRICE, "503": 0}


@dataclass
class Selling(Unruly):
    """What each buyer owes, in micro-dollars, and its attempts at calls."""

    owed: Counter[str] = field(default_factory=Counter)
    attempts: int = 0

    def fault_of(self, arguments: Any) -> Fault | None:
        self.attempts += 1
        how = arguments.get("how")
        if how not in OWED_UNANSWERED:
            return None
        self.owed[arguments["buyer"]] += OWED_UNANSWERED[how]
        self.called.set()
        fault: Fault = how
        return fault

    def built(self) -> FastMCP:
        server: FastMCP = FastMCP("unruly", stateless_http=True, json_response=True, log_level="CRITICAL")
        repeatable = ToolAnnotations(readOnlyHint=True, idempotentHint=True)

        def sold(buyer: str, how: str) -> CallToolResult:
            owed, told = COSTS[how]
            self.owed[buyer] += owed
            self.calls.append(buyer)
            meta = {"retry_after_s": 0.05} if how == "busy" else {} if told is None else {"cost_usd": told}
            fails = how in {"failed", "refunded", "busy"}
            text = TextContent(type="text", text=f"{how}, sold as number {len(self.calls)}")
            content = {"number": len(self.calls), "data_version": self.data_version}
            return CallToolResult(isError=fails, content=[text], structuredContent=content, _meta=meta)

        @server.tool(meta={"cost_usd": PRICE / 1_000_000})
        def buy(buyer: str, how: str, number: int = 0) -> CallToolResult:
            return sold(buyer, how)

        @server.tool(annotations=repeatable, meta={"cost_usd": PRICE / 1_000_000})
        def read(buyer: str, how: str, number: int = 0) -> CallToolResult:
            return sold(buyer, how)

        @server.tool()
        def unpriced(buyer: str, how: str, number: int = 0) -> CallToolResult:
            return sold(buyer, how)

        return server
