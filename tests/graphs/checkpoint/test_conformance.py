from collections.abc import AsyncIterator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

from graphs.checkpoint.saver import RedisSaver
from tests.graphs.redis_servers import Client


async def test_conformance_is_full_with_every_extended_capability(client: Client) -> None:
    @checkpointer_test(name="RedisSaver")
    async def savers() -> AsyncIterator[RedisSaver]:
        yield RedisSaver(client, ttl_seconds=60)

    report = await validate(savers)

    report.print_report()
    assert report.conformance_level() == "FULL", report.to_dict()
    assert {name for name, each in report.results.items() if each.passed} == {each.value for each in ALL_CAPABILITIES}
