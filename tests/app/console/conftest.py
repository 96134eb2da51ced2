"""The console as its users have it: `tollgate api` and a worker as programs, and a browser."""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.running.processes import Addresses
from app.work.service import Service
from tests.app.api.programs import replica
from tests.app.queued import Deployment, deployment

CHROMIUM = shutil.which("chromium")
SERIOUS = {"serious", "critical"}
WAIT_MS = 20_000
T = TypeVar("T")

expect.set_options(timeout=WAIT_MS)


@dataclass(frozen=True)
class Served:
    """A console at an address, and what is behind it."""

    url: str
    here: Deployment

    def ask(self, act: Callable[[Service], Awaitable[T]]) -> T:
        """Do something with the service, beside the programs."""

        async def asked() -> T:
            async with self.here.service() as service:
                return await act(service)

        with ThreadPoolExecutor(1) as beside:  # Playwright has an event loop in this thread
            return beside.submit(asyncio.run, asked()).result()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, addresses: Addresses) -> Iterator[Served]:
    """API and worker without keys: everybody on this machine may do everything."""
    folder = tmp_path_factory.mktemp("console")
    with deployment(folder, servers=addresses.servers) as here:
        with replica(here) as one, here.worker(TOLLGATE_RECORD="true"):
            yield Served(one.url, here)
        assert [line for line in one.log if " ERROR " in line] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, once for all tests of a module."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian's chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of its own. Fails the test for an error in the page, or a request to anybody else."""
    with window(browser) as page:
        yield page


@contextlib.contextmanager
def window(browser: Browser, **options: object) -> Iterator[Page]:
    """A window with these options, as `page` is."""
    context = browser.new_context(**options)  # type: ignore[arg-type]  # Playwright's own names
    page, wrong, elsewhere = context.new_page(), list[str](), list[str]()
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if _ours(request.url) else elsewhere.append(request.url))
    try:
        yield page
    finally:
        context.close()
    assert wrong == []
    assert elsewhere == []


def accessible(page: Page) -> None:
    """axe finds nothing serious on the page."""
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found if each["impact"] in SERIOUS
    ]
    assert serious == []


def _ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))
