"""Real graphs on the checkpointer."""

import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt

from graphs.checkpoint.saver import RedisSaver, UnsupportedValueError
from tests.graphs.checkpoints import keys, new_thread
from tests.graphs.redis_servers import Client, Connect


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    notes: Annotated[list[str], operator.add]
    answer: str


async def _plan(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage("planned")], "notes": ["plan " + "x" * 600]}


class Part(TypedDict):
    part: str


async def _work(state: Part) -> dict[str, Any]:
    return {"notes": [f"worked on {state['part']}"]}


class Inner(TypedDict):
    answer: str


async def _ask(state: Inner) -> dict[str, Any]:
    return {"answer": interrupt({"question": "go on?"})}


def _parts(state: State) -> list[Send]:
    return [Send("work", {"part": part}) for part in ("a", "b", "c")]


def _graph(saver: RedisSaver) -> Any:
    inner = StateGraph(Inner)
    inner.add_node("ask", _ask)
    inner.add_edge(START, "ask")
    graph = StateGraph(State)
    graph.add_node("plan", _plan)
    graph.add_node("work", _work)
    graph.add_node("human", inner.compile())
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", _parts, ["work"])
    graph.add_edge("work", "human")
    graph.add_edge("human", END)
    return graph.compile(checkpointer=saver)


async def test_a_graph_interrupted_by_one_process_is_resumed_by_another(connect: Connect) -> None:
    config = new_thread()
    start = {"messages": [HumanMessage("hello")], "notes": []}
    first, second = connect(), connect()
    try:
        paused = await _graph(RedisSaver(first, ttl_seconds=60)).ainvoke(start, config, durability="sync")
        assert paused["__interrupt__"][0].value == {"question": "go on?"}
        graph = _graph(RedisSaver(second, ttl_seconds=60))
        done = await graph.ainvoke(Command(resume="yes"), config, durability="sync")
        history = [each async for each in graph.aget_state_history(config)]
    finally:
        await first.aclose()
        await second.aclose()

    assert done["answer"] == "yes"
    assert done["notes"][1:] == ["worked on a", "worked on b", "worked on c"]
    assert [each.content for each in done["messages"]] == ["hello", "planned"]
    assert [len(each.values.get("notes", [])) for each in history] == [4, 4, 1, 0, 0]


async def test_a_finished_task_is_not_run_again_after_its_sibling_failed(client: Client) -> None:
    runs: list[str] = []

    async def work(state: Part) -> dict[str, Any]:
        runs.append(state["part"])
        if runs == ["good", "bad"]:
            raise RuntimeError("first time")
        return {"notes": [state["part"]]}

    graph = StateGraph(State)
    graph.add_node("work", work)
    graph.add_conditional_edges(START, lambda _: [Send("work", {"part": part}) for part in ("good", "bad")], ["work"])
    app, config = graph.compile(checkpointer=RedisSaver(client)), new_thread()
    with pytest.raises(RuntimeError, match="first time"):
        await app.ainvoke({"notes": []}, config, durability="sync")  # type: ignore[call-overload]

    result = await app.ainvoke(None, config, durability="sync")

    assert result["notes"] == ["good", "bad"]
    assert runs == ["good", "bad", "bad"]


@pytest.mark.parametrize("defer", [False, True], ids=["at once", "deferred"])
async def test_a_fan_in_edge_remembers_over_a_restart_who_has_arrived(valkey: Connect, defer: bool) -> None:
    runs: list[str] = []

    def node(name: str) -> Any:
        async def run(_: State) -> dict[str, Any]:
            runs.append(name)
            if name == "b" and runs.count("b") == 1:
                raise RuntimeError("killed")
            return {"notes": [name]}

        return run

    def compiled(client: Client) -> Any:
        graph: Any = StateGraph(State)
        for name in ("a", "before", "b"):
            graph.add_node(name, node(name))
        graph.add_node("c", node("c"), defer=defer)
        graph.add_edge(START, "a")
        graph.add_edge(START, "before")
        graph.add_edge("before", "b")
        graph.add_edge(["a", "b"], "c")
        return graph.compile(checkpointer=RedisSaver(client, ttl_seconds=60))

    config, first, second = new_thread(), valkey(), valkey()
    try:
        with pytest.raises(RuntimeError, match="killed"):
            await compiled(first).ainvoke({"notes": []}, config, durability="sync")
        done = await compiled(second).ainvoke(None, config, durability="sync")
    finally:
        await first.aclose()
        await second.aclose()

    assert done["notes"] == ["a", "before", "b", "c"]
    assert runs == ["a", "before", "b", "b", "c"]


async def test_a_deferred_node_keeps_what_it_waits_with(valkey_client: Client) -> None:
    async def ask(_: State) -> dict[str, Any]:
        return {"answer": interrupt("?")}

    graph: Any = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("last", _plan, defer=True)
    graph.add_edge(START, "ask")
    graph.add_edge(START, "last")
    app, config = graph.compile(checkpointer=RedisSaver(valkey_client, ttl_seconds=60)), new_thread()

    await app.ainvoke({"notes": []}, config, durability="sync")
    done = await app.ainvoke(Command(resume="yes"), config, durability="sync")

    assert (done["answer"], len(done["notes"])) == ("yes", 1)


class Counted(TypedDict):
    count: int
    price: Any


def _loop(steps: int, saver: RedisSaver, price: Any = 0) -> Any:
    async def step(state: Counted) -> dict[str, Any]:
        return {"count": state["count"] + 1, "price": price}

    graph = StateGraph(Counted)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["count"] < steps else END)
    return graph.compile(checkpointer=saver)


async def test_a_superstep_costs_one_round_trip(valkey_client: Client) -> None:
    saver = RedisSaver(valkey_client)
    await _loop(1, saver).ainvoke({"count": 0}, new_thread(), durability="sync")  # loads the scripts
    await valkey_client.config_resetstat()

    await _loop(10, saver).ainvoke({"count": 0}, new_thread(), durability="sync")

    calls = {name: each["calls"] for name, each in (await valkey_client.info("commandstats")).items()}
    start = 4  # the read, the input's checkpoint, its writes, the checkpoint after them
    assert calls["cmdstat_evalsha"] == start + 10


async def test_an_unsupported_value_ends_the_run_with_the_channel_s_name(client: Client) -> None:
    config = new_thread()
    with pytest.raises(UnsupportedValueError, match=r"channel 'price': value is a decimal\.Decimal"):
        await _loop(2, RedisSaver(client), Decimal("0.1")).ainvoke({"count": 0}, config, durability="sync")


async def test_a_delta_channel_is_refused(valkey_client: Client) -> None:
    class Delta(TypedDict):
        log: Annotated[list[str], DeltaChannel(operator.add)]

    graph = StateGraph(Delta)
    graph.add_node("step", lambda _: {"log": ["x"]})
    graph.add_edge(START, "step")
    config: RunnableConfig = new_thread()
    with pytest.raises(UnsupportedValueError):
        await graph.compile(checkpointer=RedisSaver(valkey_client)).ainvoke({"log": ["y"]}, config, durability="sync")


async def test_a_job_leaves_two_keys_and_both_expire(client: Client) -> None:
    await _loop(5, RedisSaver(client, ttl_seconds=60)).ainvoke({"count": 0}, new_thread(), durability="sync")

    left = await keys(client)

    assert len(left) == 2
    assert {await client.ttl(key) for key in left} <= {59, 60}
