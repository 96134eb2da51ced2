"""The stdio transport: starts a program, exchanges lines with it, and ends it.

The SDK's client reads lines of any length in quadratic time, waits until the deadline for an answer that is not a
message, and logs a traceback for each such line, for example a program's start-up banner.
"""

import contextlib
import logging
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage
from pydantic import ValidationError

from graphs.tools.transport import NO_MESSAGE, Unanswered, error_of, too_large

ENDS_BYTES = 256  # kept at either end of an overlong line: one of them has the message id
GRACE_S = 2.0
_ID = re.compile(
    rb'\A\s*\{("jsonrpc":\s*"2\.0",\s*)?"id":\s*(\d+)|"id":\s*(\d+)\s*(,\s*"jsonrpc":\s*"2\.0"\s*)?\}\s*\Z'
)

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def spoken_to(command: str, max_bytes: int) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Run the program until the block ends, and yield its incoming and outgoing streams.

    Args:
        command: the command line.
        max_bytes: most bytes in a message.

    Raises:
        OSError: the program cannot be started.
    """
    said, hears = anyio.create_memory_object_stream[SessionMessage | Exception]()
    tells, told = anyio.create_memory_object_stream[SessionMessage]()
    async with said, hears, tells, told:
        process = await anyio.open_process(
            shlex.split(command), env=get_default_environment(), stderr=None, start_new_session=True
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("the program has no pipes")
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_listen, process.stdout, said, max_bytes)
                tasks.start_soon(_tell, process.stdin, told)
                yield hears, tells
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
                await process.aclose()


async def _listen(
    stdout: ByteReceiveStream, said: MemoryObjectSendStream[SessionMessage | Exception], max_bytes: int
) -> None:
    """Forward the program's output until it ends."""
    async with said:
        async for line, whole in _lines(stdout, max_bytes):
            if message := _message(line, None if whole else too_large(max_bytes)):
                with contextlib.suppress(anyio.BrokenResourceError):  # the reader is gone
                    await said.send(SessionMessage(message))


async def _lines(stdout: ByteReceiveStream, most: int) -> AsyncIterator[tuple[bytes, bool]]:
    """Each line, and whether it is complete: of one longer than `most` bytes only both ends are kept."""
    line, whole = bytearray(), True
    async for chunk in stdout:
        for index, piece in enumerate(chunk.split(b"\n")):
            if index:
                yield bytes(line), whole
                line, whole = bytearray(), True
            line += piece
            if not (whole := whole and len(line) <= most):
                del line[ENDS_BYTES:-ENDS_BYTES]


def _message(line: bytes, problem: Unanswered | None) -> JSONRPCMessage | None:
    """The message in a line; an error in its place if it is unusable; None if it is not a message."""
    if problem is None:
        try:
            return JSONRPCMessage.model_validate_json(line)
        except ValidationError:
            problem = Unanswered(NO_MESSAGE)
    if found := _ID.search(line):
        number = int(found[2] or found[3])
        return JSONRPCMessage(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(**error_of(problem))))
    logger.debug("ignored a line that is not a message: %r", line[:ENDS_BYTES])
    return None


async def _tell(stdin: ByteSendStream, told: MemoryObjectReceiveStream[SessionMessage]) -> None:
    """Forward messages to the program until it ends."""
    async with told:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            async for each in told:
                text = each.message.model_dump_json(by_alias=True, exclude_none=True)
                await stdin.send(f"{text}\n".encode())


async def _end(process: Process) -> None:
    """End it as the protocol says: close its stdin, then terminate, then kill it with all its children."""
    if process.stdin:
        with contextlib.suppress(OSError):
            await process.stdin.aclose()
    for each in (None, signal.SIGTERM, signal.SIGKILL):
        if each is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, each)
        with anyio.move_on_after(GRACE_S):
            await process.wait()
            return
