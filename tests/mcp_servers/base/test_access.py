"""Who may call a server over HTTP: tokens and their scopes, names of the server, web pages."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from mcp import McpError
from mcp.types import TextContent

from mcp_servers.analytics.server import build as analytics
from mcp_servers.base.access import Unauthorized, verified
from tests.data import DOCUMENTS
from tests.mcp_servers.program import (
    HEADERS,
    SECONDS,
    SECRET,
    Listening,
    Program,
    bearer,
    call,
    refused,
    request,
    served,
    served_here,
    session,
    token,
)

KNOWLEDGE_BASE = "mcp_servers.knowledge_base"
UNSIGNED = jwt.encode({"sub": "researcher", "aud": "knowledge_base"}, "", algorithm="none")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The knowledge base, which others than this machine can reach, with a secret."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ("--data", str(DOCUMENTS), "--data-dir", str(folder))
    with served(KNOWLEDGE_BASE, folder, *options, host="0.0.0.0", TOLLGATE_MCP_SECRET=SECRET) as program:
        yield program


def post(program: Listening, message: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    return httpx.post(program.endpoint, json=message, headers={**HEADERS, **headers}, timeout=SECONDS)


def test_a_genuine_token_opens_the_server(guarded: Program) -> None:
    answer = post(guarded, call("search_keyword", query="charging"), bearer(token("knowledge_base")))
    assert answer.status_code == 200
    assert answer.json()["result"]["isError"] is False
    assert guarded.logged()[-1]["agent"] == "researcher"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "send a token"),
        ({"Authorization": "Basic dTpw"}, "send a token"),
        ({"Authorization": "Bearer"}, "Not enough segments"),
        (bearer("a.b.c"), "is not valid for"),
        (bearer("ü\xff"), "is not valid for"),
        (bearer(UNSIGNED), "alg"),
        (bearer(token("knowledge_base", secret=SECRET[::-1])), "Signature verification failed"),
        (bearer(token("knowledge_base", exp=1)), "expired"),
        (bearer(token("knowledge_base", exp=None)), '"exp"'),
        (bearer(token("knowledge_base", sub=None)), '"sub"'),
        (bearer(token("knowledge_base", iss="another")), "issuer"),
        (bearer(token("sales")), "Audience"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_is_refused_and_told_why(guarded: Program, given: dict[str, str], says: str) -> None:
    answer = httpx.post(
        guarded.endpoint,
        json=request("tools/list"),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in {**HEADERS, **given}.items()],
        timeout=SECONDS,
    )
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="tollgate", error="invalid_token"')
    assert says in answer.json()["error_description"]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/", "/anything", "/healthz/"])
def test_nothing_but_probes_and_metrics_is_open(guarded: Program, path: str) -> None:
    assert httpx.get(f"{guarded.url}{path}", timeout=SECONDS).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_whoever_watches_needs_no_token(guarded: Program, path: str) -> None:
    assert httpx.get(f"{guarded.url}{path}", timeout=SECONDS).status_code in {200, 503}


def test_clocks_may_differ_by_some_seconds() -> None:
    assert (
        verified(token("sales", exp=int(time.time()) - 5, iat=int(time.time()) + 5), "sales", SECRET).agent
        == "researcher"
    )
    with pytest.raises(Unauthorized, match="expired"):
        verified(token("sales", exp=int(time.time()) - 60), "sales", SECRET)


async def test_tools_outside_the_scope_are_neither_listed_nor_called(guarded: Program) -> None:
    narrow = bearer(token("knowledge_base", "search_keyword read_document"))
    async with session(guarded, narrow) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        outside = await client.call_tool("search", {"query": "charging"})
        inside = await client.call_tool("search_keyword", {"query": "charging"})
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resourceTemplates
        with pytest.raises(McpError, match="for tools only"):
            await client.read_resource("doc://delivery")  # type: ignore[arg-type]
    assert listed == {"search_keyword", "read_document"}
    assert isinstance(outside.content[0], TextContent)
    assert outside.isError
    told = "the token of researcher is not for search; it is for read_document, search_keyword"
    assert outside.content[0].text == told
    assert not inside.isError
    assert (resources, templates) == ([], [])


async def test_what_one_caller_may_not_see_another_may(guarded: Program) -> None:
    """Scopes belong to requests; none outlives its own."""
    async with (
        session(guarded, bearer(token("knowledge_base", "search"))) as narrow,
        session(guarded, bearer(token("knowledge_base"))) as wide,
    ):
        for _ in range(3):
            assert len((await narrow.list_tools()).tools) == 1
            assert len((await wide.list_tools()).tools) == 4
            assert (await narrow.call_tool("read_document", {"id": "delivery"})).isError
            assert not (await wide.call_tool("read_document", {"id": "delivery"})).isError
        assert (await wide.list_resources()).resources
        assert (await wide.read_resource("doc://delivery")).contents  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", [None, "", "no_such_tool"])
async def test_a_token_for_nothing_sees_nothing(guarded: Program, scope: str | None) -> None:
    async with session(guarded, bearer(token("knowledge_base", scope=scope))) as client:
        assert (await client.list_tools()).tools == []
        assert (await client.call_tool("search", {"query": "charging"})).isError


KEPT = ("--data", str(DOCUMENTS), "--port", "0")


def test_what_others_can_reach_does_not_start_without_a_secret() -> None:
    told = refused(KNOWLEDGE_BASE, *KEPT, "--host", "0.0.0.0")
    assert told.count("\n") == 1
    assert told.startswith("error: others can reach 0.0.0.0, and there is no TOLLGATE_MCP_SECRET; set one")


def test_a_short_secret_is_none() -> None:
    assert "shorter than 32 characters" in refused(KNOWLEDGE_BASE, *KEPT, TOLLGATE_MCP_SECRET="guess me")


HANDSHAKE = request(
    "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "test", "version": "1"}
)
PAGE = "https://chat.example.org"


Asked = tuple[dict[str, str], int]  # with these headers; the status of the answer


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (
            (),
            [
                ({}, 200),
                ({"Host": "localhost:7801"}, 200),
                ({"Host": "evil.example.org"}, 421),
                ({"Host": "127.0.0.1.example.org"}, 421),
                ({"Host": "[::1"}, 421),
                ({"Origin": PAGE}, 403),
                ({"Origin": "null"}, 403),
                ({"Origin": "http://localhost:6274"}, 200),
            ],
        ),
        (
            ("--allowed-host", "mcp.example.org"),
            [({"Host": "mcp.example.org"}, 200), ({"Host": "evil.example.org"}, 421)],
        ),
        (("--allowed-origin", PAGE), [({"Origin": PAGE}, 200), ({"Origin": f"{PAGE}.evil.com"}, 403)]),
    ],
    ids=["as it is", "a host", "an origin"],
)
def test_on_loopback_names_and_pages(options: tuple[str, ...], asked: list[Asked]) -> None:
    with served_here(analytics(), *options) as program:
        for headers, status in asked:
            answer = post(program, HANDSHAKE, headers)
            assert answer.status_code == status, headers
            assert status == 200 or answer.json()["error_description"]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (
            (),
            [({"Host": "analytics:7803"}, 200), ({"Origin": PAGE}, 403), ({"Origin": "http://localhost:6274"}, 403)],
        ),
        (("--allowed-origin", PAGE), [({"Origin": PAGE}, 200)]),
        (
            ("--allowed-host", "analytics"),
            [({"Host": "analytics:7803"}, 200), ({"Host": "evil.example.org"}, 421)],
        ),
    ],
    ids=["as it is", "an origin", "a host"],
)
def test_beyond_loopback_names_and_pages(options: tuple[str, ...], asked: list[Asked]) -> None:
    with served_here(analytics(), *options, host="0.0.0.0", secret=SECRET) as program:
        for headers, status in asked:
            answer = post(program, HANDSHAKE, {**headers, **bearer(token("analytics"))})
            assert answer.status_code == status, headers


def test_metrics_are_not_for_web_pages() -> None:
    with served_here(analytics()) as program:
        asked = httpx.get(f"{program.url}/metrics", headers={"Host": "evil.example.org"}, timeout=SECONDS)
    assert asked.status_code == 421
