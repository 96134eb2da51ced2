"""The handbook as a site: it is built, every link and anchor in it leads somewhere, and it asks nobody else."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.app.command_line import environment
from tests.app.console.conftest import accessible, browser, window
from tests.docs.pages import ROOT, handbook

__all__ = ["browser"]  # the fixture
pytestmark = [pytest.mark.xdist_group("browser")]

NOWHERE = "http://127.0.0.1:9"  # the discard port


class Links(HTMLParser):
    """The ids of a page, the addresses that it links to, and those that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.linked, self.loaded = set[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        for name in {"href", "src", "srcset", "action", "data", "poster"} & given.keys():
            (self.linked if tag == "a" else self.loaded).append(given[name])


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`make docs` in this checkout, but for what it generates first; whoever asks the network is not answered."""
    offline = environment({"NO_MKDOCS_2_WARNING": "1", "http_proxy": NOWHERE, "https_proxy": NOWHERE})
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=folder, env=offline, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ended = build(ROOT, folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there(pages: dict[Path, Links], site: Path) -> None:
    wanted = {re.sub(r"README$", "index", name.removeprefix("docs/").removesuffix(".md")) for name in handbook()}
    assert {path.relative_to(site).with_suffix("").as_posix() for path in pages} == {*wanted, "404"}


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Links], site: Path) -> None:
    for path, page in pages.items():
        for address in [*page.linked, *page.loaded]:
            parts = urlsplit(urljoin(path.as_uri(), address))
            if parts.scheme == "file" and path.name != "404.html":  # which is served at any address
                target = Path(unquote(parts.path))
                assert target.is_file(), f"{path.relative_to(site)}: {address}"
                if parts.fragment and target.suffix == ".html":
                    assert unquote(parts.fragment) in pages[target].ids, f"{path.relative_to(site)}: {address}"


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Links], site: Path) -> None:
    loaded = [address for page in pages.values() for address in page.loaded]
    assert loaded
    assert [each for each in loaded if urlsplit(each).netloc] == []
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert styles
    assert [
        found for text in styles for found in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", text)
    ] == []


@pytest.mark.slow
def test_a_dead_link_a_dead_anchor_and_a_page_in_no_menu_fail_the_build(copy: Path, tmp_path: Path) -> None:
    (copy / "docs/lost.md").write_text("# Lost\n\n[a page](nowhere.md), [an anchor](security.md#nowhere)\n")
    ended = build(copy, tmp_path / "site")
    assert ended.returncode == 1
    assert all(f"{each}'" in ended.stderr for each in ("'nowhere.md", "'#nowhere"))
    assert "- lost.md\n" in ended.stderr


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The site at an address, as any server for files serves it."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scheme"), [("operating/backup", "dark"), ("mcp_servers/sales/index", "light")])
def test_a_page_is_accessible_and_asks_nobody_else(served: str, browser: Browser, name: str, scheme: str) -> None:
    with window(browser, color_scheme=scheme) as page:
        page.goto(f"{served}/{name}.html")
        accessible(page)


@pytest.mark.slow
def test_a_search_finds_a_page(served: str, browser: Browser) -> None:
    with window(browser) as page:
        page.goto(f"{served}/index.html")
        page.get_by_placeholder("Search").press_sequentially("dead letters", delay=50)
        found = page.locator(".md-search-result__link").first
        expect(found).to_contain_text("Dead letters")
        found.click()
        page.wait_for_url("**/operating/dead-letters.html*")
