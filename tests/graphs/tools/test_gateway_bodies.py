"""Bodies of answers that are packed, endless or none: bounded in what they unpack to, and never waited for in vain."""

import tracemalloc

import pytest

from graphs.errors import ServerUnavailable, ToolFailure
from graphs.tools.gateway import ToolGateway
from graphs.tools.limits import ToolLimits
from tests.graphs.tools.test_gateway_chaos import nothing_left
from tests.graphs.unruly_mcp import EVERYTHING, Fault, Unruly, bomb

BARE = ToolLimits(cache_seconds=0, timeout_s=20)
MOST_MEMORY = 24 * 1024 * 1024


@pytest.mark.parametrize("fault", ["bomb", "bomb of events"])
async def test_what_unpacks_to_more_than_is_read_is_refused_before_it_is_there(unruly: Unruly, fault: Fault) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=BARE) as gateway:
        await gateway.tools(EVERYTHING)
        assert len(bomb()) < 100_000
        unruly.faults = [fault]
        tracemalloc.start()
        try:
            with pytest.raises(ToolFailure, match="it sent more than 4194304 bytes; ask for less"):
                await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"]["number"] == 1
    assert most < MOST_MEMORY
    assert unruly.requests["initialize"] == 1


async def test_what_is_packed_unasked_is_read_all_the_same(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=BARE) as gateway:
        unruly.faults = ["packed"]
        result = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert result.content["structured"]["number"] == 42


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("no message", "it answered with something other than JSON-RPC"),
        ("another's message", "it answered with something other than JSON-RPC"),
        ("no answer", "its stream of events ended without an answer"),
        ("packed oddly", "its content encoding is not gzip"),
    ],
)
async def test_an_answer_that_is_none_is_told_at_once(unruly: Unruly, fault: Fault, why: str) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=BARE) as gateway:
        unruly.faults = [fault, fault]
        with pytest.raises(ServerUnavailable, match=why):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"]["number"] == 1


async def test_a_stream_that_goes_on_after_the_answer_is_not_waited_for(unruly: Unruly) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=BARE) as gateway:
        unruly.faults = ["held open"]
        result = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert result.content["structured"]["number"] == 42


async def test_a_stream_of_what_is_said_unasked_is_not_opened() -> None:
    with Unruly(stateful=True).running() as unruly:
        async with nothing_left(), ToolGateway(unruly.servers, limits=BARE) as gateway:
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert (unruly.requests["GET"], unruly.requests["DELETE"]) == (0, 1)


async def test_what_a_connection_says_is_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left(), ToolGateway({"unruly": "http://127.0.0.1:1/mcp"}, limits=BARE) as gateway:
        with pytest.raises(ServerUnavailable, match=r"the MCP server unruly does not answer \(connect error\); go on"):
            await gateway.tools(EVERYTHING)
    assert "http://127.0.0.1:1/mcp: All connection attempts failed" in caplog.text
