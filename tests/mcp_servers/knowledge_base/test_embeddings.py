"""Semantic and fused search against a real local endpoint that speaks OpenAI's embeddings format."""

import hashlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult, TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_servers.base.results import Table
from mcp_servers.knowledge_base.embeddings import Embeddings
from mcp_servers.knowledge_base.server import build
from mcp_servers.knowledge_base.vectors import PROBE
from tests.http_server import served

LENGTH = 256
DOCUMENTS = {
    "ferries.md": "# Ferry terminals\n\nVessels draw current from the quay in 19 ports.",
    "depots.md": "# Depots\n\nLorries are plugged in overnight at 412 sites.",
    "parks.md": "# Parks\n\nVisitors plug bicycles in at 7 kiosks.",
}
# The endpoint's idea of meaning: words of one line count as the same word.
SYNONYMS = [{"ships", "vessels", "ferry"}, {"trucks", "lorries", "depots"}, {"bikes", "bicycles", "parks"}]


class Endpoint:
    """Bag-of-words vectors with synonyms, and a record of what was asked."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.batches: list[int] = []
        self.keys: set[str] = set()
        self.models: set[str] = set()
        self.salt = ""
        self.broken: Any = None

    async def answer(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.inputs += body["input"]
        self.batches.append(len(body["input"]))
        self.models.add(body["model"])
        self.keys.add(request.headers["authorization"])
        if self.broken is not None:
            status, content = self.broken
            return JSONResponse(content, status_code=status)
        items = [
            {"object": "embedding", "index": index, "embedding": self._vector(text)}
            for index, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return JSONResponse({"object": "list", "data": items[::-1], "model": body["model"], "usage": usage})

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * LENGTH
        for word in re.findall(r"\w+", text.lower()):
            group = next((sorted(each)[0] for each in SYNONYMS if word in each), word)
            digest = hashlib.sha256(f"{self.salt}{group}".encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % LENGTH] += 1.0
        return vector


@pytest.fixture
def endpoint() -> Iterator[tuple[Endpoint, str]]:
    app = Endpoint()
    with served(Starlette(routes=[Route("/v1/embeddings", app.answer, methods=["POST"])])) as address:
        yield app, f"{address}/v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in DOCUMENTS.items():
        (documents / name).write_text(text, encoding="utf-8")
    return documents


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@asynccontextmanager
async def connected(folder: Path, url: str, cache: Path, model: str = "tiny") -> AsyncIterator[ClientSession]:
    async with create_connected_server_and_client_session(build(folder, Embeddings(url, model, cache))) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def ids_of(result: CallToolResult) -> list[Any]:
    assert not result.isError, text_of(result)
    return [row[0] for row in Table.model_validate(result.structuredContent).rows]


async def test_semantic_search_finds_meaning_where_no_word_is_shared(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path
) -> None:
    app, url = endpoint
    async with connected(folder, url, tmp_path / "cache") as client:
        by_words = await client.call_tool("search_keyword", {"query": "trucks"})
        semantic = await client.call_tool("search_semantic", {"query": "trucks", "limit": 2})
        fused = await client.call_tool("search", {"query": "ships"})
    assert ids_of(by_words) == []
    assert ids_of(semantic)[0] == "depots"
    assert len(ids_of(semantic)) == 2
    assert ids_of(fused)[0] == "ferries"
    assert "keyword search alone" not in text_of(fused)
    assert app.models == {"tiny"}
    assert app.keys == {"Bearer none"}


async def test_both_rankings_count_in_the_fused_one(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path
) -> None:
    _, url = endpoint
    async with connected(folder, url, tmp_path / "cache") as client:
        result = await client.call_tool("search", {"query": "bikes kiosks"})
    table = Table.model_validate(result.structuredContent)
    assert table.rows[0][0] == "parks"
    assert table.rows[0][6] == round(2 / 61, 4)
    assert len(table.rows) == 3


async def test_passages_are_embedded_once_and_kept_on_disk(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path
) -> None:
    app, url = endpoint
    for query in ("trucks", "ships"):
        async with connected(folder, url, tmp_path / "cache") as client:
            assert ids_of(await client.call_tool("search_semantic", {"query": query}))
            assert ids_of(await client.call_tool("search_semantic", {"query": query}))
    assert [len(re.findall("Lorries", text)) for text in app.inputs].count(1) == 1
    (folder / "new.md").write_text("# Trams\n\nTrams draw current from wires.", encoding="utf-8")
    before = len(app.inputs)
    async with connected(folder, url, tmp_path / "cache") as client:
        assert ids_of(await client.call_tool("search_semantic", {"query": "trams"}))[0] == "new"
    assert len(app.inputs) - before == 3  # the probe, the new passage and the query
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".npz"]


async def test_vectors_of_another_endpoint_under_the_same_model_name_are_not_mixed_in(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path
) -> None:
    app, url = endpoint
    async with connected(folder, url, tmp_path / "cache") as client:
        await client.call_tool("search_semantic", {"query": "trucks"})
    app.salt = "another model"
    before = len(app.inputs)
    async with connected(folder, url, tmp_path / "cache") as client:
        assert ids_of(await client.call_tool("search_semantic", {"query": "trucks"}))[0] == "depots"
    assert len(app.inputs) - before == 5


async def test_a_damaged_cache_is_computed_again(endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path) -> None:
    _, url = endpoint
    async with connected(folder, url, tmp_path / "cache") as client:
        await client.call_tool("search_semantic", {"query": "trucks"})
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    async with connected(folder, url, tmp_path / "cache") as client:
        assert ids_of(await client.call_tool("search_semantic", {"query": "trucks"}))[0] == "depots"


async def test_many_passages_travel_in_batches(endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path) -> None:
    app, url = endpoint
    sections = "\n\n".join(f"## Stop {number}\n\nTrams halt here {number} times." for number in range(130))
    (folder / "stops.md").write_text(sections, encoding="utf-8")
    async with connected(folder, url, tmp_path / "cache") as client:
        assert ids_of(await client.call_tool("search_semantic", {"query": "trucks"}))[0] == "depots"
    assert app.batches == [1, 64, 64, 5, 1]


async def test_the_key_of_the_environment_is_sent(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, url = endpoint
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-test")
    async with connected(folder, url, tmp_path / "cache") as client:
        await client.call_tool("search_semantic", {"query": "trucks"})
    assert app.keys == {"Bearer key-of-the-test"}


NO_LIST = "the endpoint's response is not a list of embeddings"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ((500, {"error": {"message": "db-7.internal is down"}}), "the embeddings endpoint answered with status 500"),
        ((401, {"error": {"message": "wrong key"}}), "the embeddings endpoint answered with status 401"),
        ((200, {"object": "list", "data": [], "model": "tiny"}), NO_LIST),
        (
            (200, {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]}),
            NO_LIST,
        ),
        ((200, ["not", "an", "embedding"]), NO_LIST),
    ],
    ids=["fails", "refuses", "gives nothing", "gives too few", "speaks another format"],
)
async def test_a_failing_endpoint_leaves_keyword_search(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path, broken: tuple[int, Any], told: str
) -> None:
    app, url = endpoint
    app.broken = broken
    async with connected(folder, url, tmp_path / "cache") as client:
        semantic = await client.call_tool("search_semantic", {"query": "lorries"})
        fused = await client.call_tool("search", {"query": "lorries"})
        tries = app.inputs.count(PROBE)
        app.broken = None
        mended = await client.call_tool("search_semantic", {"query": "trucks"})
    assert semantic.isError
    assert "use search_keyword instead" in text_of(semantic)
    assert ids_of(fused) == ["depots"]
    assert f"keyword search alone: {told}" in text_of(fused)
    assert f"({told})" in text_of(semantic)  # the endpoint's own words, and where it is, only the log says
    assert tries == 2  # one try each: no retries under the caller's own
    assert ids_of(mended)[0] == "depots"


async def test_an_endpoint_that_is_down_leaves_keyword_search(folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    async with connected(folder, url, tmp_path / "cache") as client:
        fused = await client.call_tool("search", {"query": "lorries"})
    assert ids_of(fused) == ["depots"]
    assert "keyword search alone" in text_of(fused)


async def test_an_unwritable_cache_folder_costs_no_answer(
    endpoint: tuple[Endpoint, str], folder: Path, tmp_path: Path
) -> None:
    _, url = endpoint
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    async with connected(folder, url, tmp_path / "file") as client:
        assert ids_of(await client.call_tool("search_semantic", {"query": "trucks"}))[0] == "depots"
