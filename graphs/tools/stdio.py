"""A program that is spoken to over its standard input and output: started, listened to line by line, and ended.

The SDK's client reads lines of any length, in time that grows with their square, waits until the deadline for an answer
that is no message, and logs a traceback for each line that is none: what a program prints at its start, say.
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

ENDS_BYTES = 256  # of a line that is too long, at either end: the id of its message is in one of them
GRACE_S = 2.0
_ID = re.compile(
    rb'\A\s*\{("jsonrpc":\s*"2\.0",\s*)?"id":\s*(\d+)|"id":\s*(\d+)\s*(,\s*"jsonrpc":\s*"2\.0"\s*)?\}\s*\Z'
)

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def spoken_to(command: str, max_bytes: int) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """What the program says and is told, until the block ends; then the program is ended.

    Args:
        command: the command line.
        max_bytes: of a message that are read.

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
            raise OSError("a program without pipes")
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
    """Pass on what the program says, until it has ended."""
    async with said:
        async for line, whole in _lines(stdout, max_bytes):
            if message := _message(line, None if whole else too_large(max_bytes)):
                with contextlib.suppress(anyio.BrokenResourceError):  # nobody listens any more
                    await said.send(SessionMessage(message))


async def _lines(stdout: ByteReceiveStream, most: int) -> AsyncIterator[tuple[bytes, bool]]:
    """Each line, and whether it is whole: of one with more bytes than that, both ends are kept."""
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
    """The message in a line. When it cannot be used, an error in its place; None when it is no message at all."""
    if problem is None:
        try:
            return JSONRPCMessage.model_validate_json(line)
        except ValidationError:
            problem = Unanswered(NO_MESSAGE)
    if found := _ID.search(line):
        number = int(found[2] or found[3])
        return JSONRPCMessage(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(**error_of(problem))))
    logger.debug("a program said what is no message: %r", line[:ENDS_BYTES])
    return None


async def _tell(stdin: ByteSendStream, told: MemoryObjectReceiveStream[SessionMessage]) -> None:
    """Pass on what the program is told, until it has ended."""
    async with told:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            async for each in told:
                text = each.message.model_dump_json(by_alias=True, exclude_none=True)
                await stdin.send(f"{text}\n".encode())


async def _end(process: Process) -> None:
    """As the protocol has it: close its input, then tell it to end, then kill it, with all that it has started."""
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
