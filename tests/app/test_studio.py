"""The graph in LangGraph's development server, driven as Studio drives it: run, interrupt, resume, fork."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import Addresses
from tests.app.command_line import environment
from tests.graphs.planning.clients import chat_sends, chat_shows, inbox_sends, inbox_shows

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("studio")]

ROOT = Path(__file__).parents[2]
QUESTION = {"question": "What was our revenue in 2024?"}
POOR: dict[str, Any] = {**QUESTION, "limits": {"budget_micro_usd": 10}}


@contextlib.contextmanager
def development_server(log: Path, settings: dict[str, str]) -> Iterator[str]:
    """`langgraph dev` over this checkout; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--port", str(port), "--no-browser", "--no-reload"]
    with log.open("wb") as output:
        given = environment({"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **settings})
        process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=output, stderr=output, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        transport = httpx.HTTPTransport(retries=8)  # its back-off waits for the server to listen
        with httpx.Client(transport=transport, timeout=60) as http:
            assert http.get(f"{address}/ok").status_code == 200, log.read_text()
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait()


@pytest.fixture(scope="module")
def studio(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, addresses: Addresses, redis_url: str
) -> Iterator[str]:
    """A development server with everything running that a run needs."""
    given = {f"MCP__{name.upper()}__URL": url for name, url in addresses.servers.items()}
    given |= {"REDIS_URL": redis_url, "TOLLGATE_STAND_IN_URL": addresses.model}
    with development_server(tmp_path_factory.mktemp("studio") / "log", given) as address:
        yield address


@pytest.fixture
async def client(studio: str, redis_client: Redis) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=studio) as connected:
        yield connected


async def test_it_loads_with_nothing_running_and_shows_the_whole_graph(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        address = stack.enter_context(development_server(tmp_path / "log", {}))
        client = await stack.enter_async_context(get_client(url=address))
        assistant = (await client.assistants.search(graph_id="research"))[0]["assistant_id"]
        drawn = await client.assistants.get_graph(assistant, xray=True)
        nodes = {str(node["id"]) for node in drawn["nodes"]}
        assert {"intake", "supervisor", "budget", "verify", "escalate", "report", "finish"} <= nodes
        assert {"researcher:model", "researcher:tools", "sales:model", "analyst:model"} <= nodes
        subgraphs = await client.assistants.get_subgraphs(assistant)
        assert set(subgraphs) == {"researcher", "sales", "analyst"}


async def test_a_run_completes(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    state: Any = await client.runs.wait(thread["thread_id"], "research", input=QUESTION)
    assert (state["status"], state["stop_reason"]) == ("completed", "answered")
    assert state["job_id"] == f"{thread['thread_id']}-1"


async def test_it_interrupts_and_resumes_with_the_human_s_answer(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    await client.runs.wait(thread["thread_id"], "research", input=POOR)
    paused = await client.threads.get_state(thread["thread_id"])
    assert paused["next"] == ["escalate"]
    question: Any = paused["tasks"][0]["interrupts"][0]
    assert question["value"]["reason"] == "budget_reached"
    answer: Any = {"resume": {"action": "approve_more", "amount_usd": 0.1}}
    ended: Any = await client.runs.wait(thread["thread_id"], "research", command=answer)
    assert ended["status"] == "completed"


async def test_agent_inbox_finds_shows_and_answers_it(client: LangGraphClient) -> None:
    thread_id, value = await interrupted(client)
    refused = inbox_sends(inbox_shows(value), "edit", edits={"amount_usd": "a little"})
    async for part in client.runs.stream(thread_id, "research", command={"resume": refused}, stream_mode="events"):
        assert part.event != "error"
    again = await asked(client, thread_id)
    assert "the last answer was not one of the choices" in again["description"]
    more = inbox_sends(inbox_shows(again), "edit", edits={"amount_usd": "0.2"})
    async for part in client.runs.stream(thread_id, "research", command={"resume": more}, stream_mode="events"):
        assert part.event != "error"
    ended = await client.threads.get(thread_id)
    values: Any = ended["values"]
    assert (ended["status"], values["status"]) == ("idle", "completed")
    assert values["limits"]["budget_micro_usd"] == 200_010


async def test_an_older_agent_inbox_ignores_it(client: LangGraphClient) -> None:
    thread_id, value = await interrupted(client)
    ignored = inbox_sends(inbox_shows(value, older=True), "ignore")
    run = await client.runs.create(thread_id, "research", command={"resume": ignored})
    values: Any = await client.runs.join(thread_id, run["run_id"])
    assert (values["status"], values["stop_reason"]) == ("partial", "finished_by_human")


async def test_agent_inbox_marks_it_as_resolved(client: LangGraphClient) -> None:
    """The question is gone without an answer, and so is the job: nothing more runs or is spent."""
    thread_id, _ = await interrupted(client)
    await client.threads.update_state(thread_id, None, as_node="__end__")
    state = await client.threads.get_state(thread_id)
    assert (state["next"], state["tasks"]) == ([], [])
    assert (await client.threads.get(thread_id))["status"] == "idle"
    next_one: dict[str, Any] = {**QUESTION, "limits": {"budget_micro_usd": 500_000}}
    new: Any = await client.runs.wait(thread_id, "research", input=next_one)
    assert (new["status"], new["job_id"]) == ("completed", f"{thread_id}-2")


async def test_agent_chat_ui_shows_and_answers_it(client: LangGraphClient) -> None:
    """Its "Mark as Resolved" goes to the end, which in LangGraph answers no interrupt: the job still waits."""
    thread_id, value = await interrupted(client)
    over: Any = {"goto": "__end__"}
    async for part in client.runs.stream(thread_id, "research", input={}, command=over):
        assert part.event != "error"
    assert await asked(client, thread_id) == value
    answer: Any = {"resume": chat_sends(chat_shows(value), "approve")}
    modes: Any = ["values", "messages-tuple", "custom"]
    parts = client.runs.stream(
        thread_id, "research", input={}, command=answer, stream_mode=modes, stream_subgraphs=True, stream_resumable=True
    )
    last: Any = [part.data async for part in parts if part.event == "values"][-1]
    assert last["status"] == "completed"


async def interrupted(client: LangGraphClient) -> tuple[str, Any]:
    """A thread that waits for a human, and its question."""
    thread = await client.threads.create(graph_id="research")
    await client.runs.wait(thread["thread_id"], "research", input=POOR)
    return thread["thread_id"], await asked(client, thread["thread_id"])


async def asked(client: LangGraphClient, thread_id: str) -> Any:
    """The thread's question, as clients find it: by the status among the graph's threads, and in the state."""
    found = await client.threads.search(metadata={"graph_id": "research"}, status="interrupted", limit=100)
    [listed] = [each for each in found if each["thread_id"] == thread_id]
    [[one]] = listed["interrupts"].values()
    state = await client.threads.get_state(thread_id)
    assert state["tasks"][-1]["interrupts"][-1]["value"] == one["value"]
    return one["value"]


async def test_a_run_can_be_forked_from_an_earlier_checkpoint(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    thread_id = thread["thread_id"]
    first: Any = await client.runs.wait(thread_id, "research", input=QUESTION)
    history = await client.threads.get_history(thread_id, limit=50)
    planned = next(each for each in reversed(history) if each["next"] == ["budget"])
    tasks: Any = planned["values"]
    changed = {"T1": {**tasks["tasks"]["T1"], "objective": "What was our revenue in 2025?"}}
    forked = await client.threads.update_state(
        thread_id, {"tasks": changed}, as_node="supervisor", checkpoint=planned["checkpoint"]
    )
    second: Any = await client.runs.wait(thread_id, "research", input=None, checkpoint=forked["checkpoint"])
    assert second["status"] == "completed"
    assert "2025" in second["findings"]["T1.1.1"]["claim"]
    assert "2024" in first["findings"]["T1.1.1"]["claim"]
