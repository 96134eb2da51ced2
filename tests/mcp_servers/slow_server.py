"""`python -m tests.mcp_servers.slow_server`: its tools take their time, answer too much, or break, as asked."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import anyio
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult

from mcp_servers.base import serving
from mcp_servers.base.reloading import Newest, Progress
from mcp_servers.base.results import Table, table_result
from mcp_servers.base.server import Server


@dataclass
class Late:
    """Data that are loaded when the file `data` is there, or cannot be, when `bad` is."""

    folder: Path
    data_version: str = "v1"
    settles: bool = False

    def state(self) -> object:
        return None

    def load(self, progress: Progress[Self]) -> Self:
        progress.tell("1 of 2 files")
        while not (self.folder / "data").exists():
            if (self.folder / "bad").exists():
                raise serving.StartupError("the second file is half a file")
            time.sleep(0.01)
        return self


def build(folder: Path) -> Server:
    """Its data come late; it notes in `done` which calls came to their end."""
    newest = Newest(Late(folder), every_s=3600, start_s=0)
    server = serving.new_server("slow", "Takes its time.", newest)

    @server.tool(annotations=serving.READ_ONLY)
    async def version() -> Annotated[CallToolResult, Table]:
        """Answers when the data are there."""
        return _table([(await newest.get()).data_version])

    @server.tool(annotations=serving.READ_ONLY)
    async def wait(file: str, name: str = "-") -> Annotated[CallToolResult, Table]:
        """Answers when a file is there."""
        while not (folder / file).exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(0.01)
        with (folder / "done").open("a") as done:
            done.write(f"{name}\n")
        return _table(["waited"])

    @server.tool(annotations=serving.READ_ONLY)
    async def block(seconds: float) -> Annotated[CallToolResult, Table]:
        """Blocks a thread."""
        await anyio.to_thread.run_sync(time.sleep, seconds, abandon_on_cancel=True)
        return _table(["blocked"])

    @server.tool(annotations=serving.READ_ONLY)
    async def large(size: int) -> Annotated[CallToolResult, Table]:
        """Answers so many characters."""
        return _table(["x" * size])

    @server.tool(annotations=serving.READ_ONLY)
    async def broken(defect: bool) -> Annotated[CallToolResult, Table]:
        """Fails, by a defect or by refusing."""
        if defect:
            raise KeyError("an inside of the server")
        raise ToolError("not this way; ask for `large` instead")

    return server


def _table(row: list[Any]) -> CallToolResult:
    return table_result(Table(title="slow", columns=["what"], rows=[row], row_count=1, data_version="1"))


if __name__ == "__main__":
    options = serving.parser("slow", "For tests.")
    options.add_argument("--folder", type=Path, required=True)
    serving.run(lambda given: build(given.folder), options.parse_args())
