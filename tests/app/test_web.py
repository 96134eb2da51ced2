"""The web, end to end: off by default; once it is set up, a report cites a page that was searched, read and checked."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from agents import AGENTS
from app.config.servers import NAMES
from app.config.settings import Settings
from app.running.processes import mcp_program
from tests.app.command_line import HELLO, TOLLGATE, answered, environment, tollgate
from tests.http_server import served
from tests.search_provider import KEY, SearchProvider, search_provider

QUESTION = "How many public charging points does Portugal have?"
SENTENCE = "The agency counted 12,345 public charging points in Portugal at the end of 2025, 25% more."
TITLE = "Charging in Portugal [details](http://evil.example)"
PAGE = f"<html><head><title>{TITLE}</title></head><body><article><p>{SENTENCE}</p></article></body></html>"


@contextlib.contextmanager
def web(page: str = PAGE) -> Iterator[tuple[SearchProvider, list[str]]]:
    """A SearXNG that finds one page, and the paths that the site of the page was asked for."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return HTMLResponse(page) if request.url.path == "/points" else PlainTextResponse("", 404)

    with served(Starlette(routes=[Route("/{path:path}", answer)])) as site:
        found = {"title": "Charging in Portugal", "url": f"{site}/points", "text": "Public charging points in 2025."}
        with search_provider(found) as provider:
            yield provider, asked


@pytest.mark.slow
def test_a_report_cites_a_page_of_the_web_where_the_documents_say_nothing(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    with web() as (provider, asked):
        settings = beside | {"SEARXNG_URL": provider.url, "TOLLGATE_WEB_ALLOW_PRIVATE": "true"}
        code, job = answered(tmp_path, "run", QUESTION, **settings)
        url = provider.pages[0]["url"]
    assert (code, job["status"]) == (0, "completed")
    [request] = provider.requests
    assert "portugal" in request.query_params["q"].lower()
    assert asked == ["/robots.txt", "/points"]
    [found] = [each for each in job["findings"] if "12,345" in each["claim"]]
    assert found["confidence"] in {"low", "medium"}
    report = (tmp_path / job["report_path"]).read_text()
    assert "12,345 public charging points in Portugal" in report
    [source] = [line for line in report.splitlines() if url in line]
    assert source.startswith(
        r"1. 127.0.0.1, *Charging in Portugal \[details]\(http[:]//evil.example)*, <http://127.0.0.1:"
    )
    assert "web, not verified" in source


@pytest.mark.slow
def test_a_search_is_paid_for_and_a_page_at_a_private_address_is_not_read(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    with web() as (provider, asked):
        settings = beside | {"TAVILY_API_KEY": KEY, "TOLLGATE_WEB_SEARCH_URL": provider.url}
        code, job = answered(tmp_path, "run", QUESTION, **settings)
    assert job["cost_usd"] > 0.008
    assert asked == []
    assert len(provider.requests) == 1
    assert "12,345" not in (tmp_path / job["report_path"]).read_text()
    assert any("private" in gap or "public" in gap for gap in job["gaps"])
    assert code == 0


@pytest.mark.slow
def test_without_a_provider_there_is_no_web_at_all(tmp_path: Path, beside: dict[str, str]) -> None:
    settings = Settings(_env_file=None)
    assert settings.servers == ("knowledge_base", "sales", "analytics")
    for agent in AGENTS:
        here = agent.where(settings.servers)
        assert here.tools == agent.tools
        assert "web__" not in here.prompt
    told = tollgate(tmp_path, "doctor", **beside).stdout
    assert "web              off; TAVILY_API_KEY" in told
    assert "mcp web" not in told


@pytest.mark.parametrize(
    "given",
    [{"TAVILY_API_KEY": "k"}, {"BRAVE_API_KEY": "k"}, {"SEARXNG_URL": "http://s"}, {"MCP__WEB__URL": "http://w"}],
)
def test_any_of_them_gives_the_researcher_the_web_and_nobody_else(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert set(settings.servers) == set(NAMES)
    team = {agent.name: agent.where(settings.servers) for agent in AGENTS}
    assert team["researcher"].tools[-2:] == ("web.search_web", "web.fetch_page")
    assert "Nobody has checked what is on the web" in team["researcher"].prompt
    assert not [name for name, agent in team.items() if name != "researcher" and "web" in "".join(agent.tools)]
    command, variables = mcp_program(settings, "web")
    assert {name for name in variables if name in given} == set(given) - {"MCP__WEB__URL"}
    assert all(value not in " ".join(command) for value in given.values())
    assert not [name for name in mcp_program(settings, "sales")[1] if name in given], "it needs none of them"


@pytest.mark.slow
def test_doctor_says_that_the_web_is_on_and_how_far(tmp_path: Path, beside: dict[str, str]) -> None:
    with web() as (provider, _):
        on = beside | {"SEARXNG_URL": provider.url}
        told = tollgate(tmp_path, "doctor", **on).stdout
        open_told = tollgate(tmp_path, "doctor", **on, TOLLGATE_WEB_ALLOW_PRIVATE="true").stdout
    assert "✓ mcp web" in told
    assert "2 tools at http://127.0.0.1:" in told
    assert "private" not in told
    assert "because of TOLLGATE_WEB_ALLOW_PRIVATE" in open_told


@pytest.mark.slow
def test_it_runs_alone_with_the_settings_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.run(
        [TOLLGATE, "mcp", "web", "--stdio"],
        input=HELLO,
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert '"name":"web"' in ended.stdout
    monkeypatch.setenv("TOLLGATE_WEB_SEARCH_URL", "http://proxy:8080")
    command, _ = mcp_program(Settings(_env_file=None), "web")
    assert command == ["-m", "mcp_servers.web", "--search-url-variable", "TOLLGATE_WEB_SEARCH_URL"]
