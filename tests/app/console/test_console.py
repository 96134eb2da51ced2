"""What people do in the console, in a real browser."""

import contextlib
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from app.running.processes import Addresses
from app.work.service import Service
from tests.app.api.programs import replica
from tests.app.command_line import tollgate
from tests.app.console.conftest import Served, accessible, window
from tests.app.queued import QUESTION, deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"> {{ 7 * 7 }} **bold**"


def submit(page: Page, served: Served, question: str, **fields: str) -> None:
    """Submit a job with the form, and be led to its page."""
    page.goto(f"{served.url}/console/")
    page.get_by_label("Question", exact=True).fill(question)
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ")).fill(value)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile("/console/jobs/job-"))


def status(page: Page, wanted: str) -> None:
    """Wait until the job has this status."""
    expect(page.locator(".facts .chip")).to_have_text(wanted)


def test_a_question_is_submitted_watched_and_its_report_read_down_to_the_evidence(page: Page, served: Served) -> None:
    submit(page, served, QUESTION)
    status(page, "completed")
    page.get_by_role("tab", name="Overview").click()
    expect(page.get_by_role("log")).to_contain_text("finishes T1")
    expect(page.get_by_label("Plan")).to_contain_text("T1 sales")
    expect(page.get_by_label("Graph")).to_contain_text("verify_report")
    accessible(page)

    page.get_by_role("tab", name="Calls").click()
    expect(page.get_by_role("region", name="Calls", exact=True)).to_contain_text("sales.revenue_by")
    assert page.locator("svg.flame rect").count() >= 3
    accessible(page)

    page.get_by_role("tab", name="Sequence").click()
    expect(page.get_by_label("Who asked whom")).to_contain_text("revenue_by")

    page.get_by_role("tab", name="Record").click()
    exchange = page.locator("details").filter(has_text="tool sales sales.revenue_by")
    exchange.locator("summary").click()
    expect(exchange).to_contain_text('"arguments"')
    accessible(page)

    page.get_by_role("tab", name="Report").click()
    number = page.locator(".report p a, .report li a").filter(has_text=re.compile(r"^\d[\d,.]+$")).first
    shown = number.text_content()
    number.click()
    cell = page.locator("td:target")
    expect(cell).to_be_visible()
    assert float(cell.text_content() or "") == pytest.approx(float((shown or "").replace(",", "")), abs=0.5)
    accessible(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="pdf", exact=True).click()
    assert download.value.path().read_bytes().startswith(b"%PDF")

    page.goto(f"{served.url}/console/")
    row = page.locator("table.jobs tbody tr").first
    expect(row).to_contain_text("completed")
    expect(row.locator(".amount")).to_contain_text("$0.0")
    accessible(page)
    page.get_by_role("link", name="Spend").click()
    expect(page.get_by_role("region", name="Most expensive jobs")).to_contain_text(QUESTION)
    expect(page.get_by_role("table", name="Agents").first).to_contain_text("supervisor")
    accessible(page)


def test_an_escalation_is_answered_in_the_inbox(page: Page, served: Served) -> None:
    submit(page, served, QUESTION, Budget_in_US_dollars="0.0004")
    status(page, "awaiting human")
    job = page.url.rpartition("/")[2]
    page.get_by_role("link", name=re.compile("^Inbox")).click()
    asked = page.locator(f".asked[data-job={job}]")
    expect(asked).to_contain_text("does not pay for another call")
    accessible(page)
    more = asked.get_by_role("group", name="Approve more")
    more.get_by_label("US dollars to add").fill("0.000001")
    more.get_by_role("button").click()
    expect(page.get_by_role("alert").filter(has_text="would stop again at once")).to_be_visible()
    more.get_by_label("US dollars to add").fill("0.2")
    more.get_by_role("button").click()
    expect(asked).to_have_count(0)
    page.goto(f"{served.url}/console/jobs/{job}")
    status(page, "completed")
    page.get_by_role("tab", name="Overview").click()
    expect(page.get_by_role("log")).to_contain_text("decides: approve_more")
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("table.jobs tbody tr").filter(has_text=job)).to_contain_text("of $0.2004")


def test_a_dead_letter_is_requeued(page: Page, served: Served) -> None:
    async def dead(service: Service) -> str:
        record = await service.jobs.submit(QUESTION, served.here.settings.limits, "local")
        await service.records.write(record.job_id, {"status": "dead", "attempts": 3, "last_error": f"broke {HOSTILE}"})
        await service.registry.bury("local", record.job_id)
        return record.job_id

    job = served.ask(dead)
    shown = page.context.new_page()
    shown.goto(f"{served.url}/console/jobs/{job}")
    status(shown, "dead")
    expect(shown.get_by_text("Download the report")).to_have_count(0)
    page.goto(f"{served.url}/console/operations")
    letter = page.locator(f".letter[data-job={job}]")
    expect(letter).to_contain_text(f"broke {HOSTILE}")
    expect(page.get_by_role("region", name="MCP servers")).to_contain_text(re.compile(r"/mcp\s*up"))
    accessible(page)
    letter.get_by_role("button", name="Requeue").click()
    expect(letter).to_have_count(0)
    status(shown, "completed")
    expect(shown.get_by_text("Download the report")).to_be_visible()
    shown.get_by_role("tab", name="Report").click()
    expect(shown.locator(".report")).to_contain_text("Sources")
    page.goto(f"{served.url}/console/jobs/{job}")
    status(page, "completed")


def test_hostile_text_stays_text(page: Page, served: Served) -> None:
    submit(page, served, f"{QUESTION} {HOSTILE}")
    status(page, "completed")
    job = page.url.rpartition("/")[2]
    for tab in ("Overview", "Calls", "Sequence", "Record", "Report"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(".q-tab-panel")).to_be_visible()
    expect(page.locator("h1").first).to_contain_text(HOSTILE)
    page.goto(f"{served.url}/console/")
    expect(page.locator("table.jobs")).to_contain_text(HOSTILE)
    page.goto(f"{served.url}/console/audit")
    expect(page.get_by_role("region", name="Audit trail")).to_contain_text("submit")
    accessible(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export all as JSON lines").click()
    assert '"action": "submit"' in download.value.path().read_text()
    assert "taken over" not in page.title()

    page.goto(f"{served.url}/console/jobs/{job}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url(f"{served.url}/console/")
    page.goto(f"{served.url}/console/jobs/{job}")
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()


def test_it_is_readable_on_a_phone_in_the_dark_and_by_keyboard(browser: Browser, served: Served) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "is_mobile": True, "has_touch": True}
    with window(browser, **phone) as page:
        for path in ("", "inbox", "spend", "operations", "audit"):
            page.goto(f"{served.url}/console/{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("body")).to_have_class(re.compile("body--dark"))
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            accessible(page)
        page.goto(f"{served.url}/console/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
        for _ in range(6):
            page.keyboard.press("Tab")
        page.keyboard.type(QUESTION)
        expect(page.get_by_label("Question", exact=True)).to_have_value(QUESTION)


def test_nothing_is_shown_where_nothing_is(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/jobs/job-20261121-101500-0a1b2c3d4e")
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()
    page.goto(f"{served.url}/console/")
    page.get_by_label("Question, id or behaviour").fill("no job has these words")
    expect(page.get_by_role("heading", name="No job matches")).to_be_visible()


def test_a_browser_logs_in_with_a_key_and_can_do_what_the_key_may(
    browser: Browser, tmp_path: Path, addresses: Addresses
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        made = [
            tollgate(tmp_path, "keys", "create", "--tenant", "acme", *scopes, REDIS_URL=here.redis_url).stdout
            for scopes in (("--scope", "read"), ("--scope", "submit", "--scope", "read", "--scope", "admin"))
        ]
        reader, admin = (next(word for word in each.split() if word.startswith("tg_")) for each in made)
        with replica(here) as api, window(browser) as page:
            page.goto(f"{api.url}/console/spend")
            assert page.url == f"{api.url}/console/login"
            accessible(page)
            for key, said in (("tg_wrong", "unknown or revoked"), (reader, "")):
                page.get_by_label("API key").fill(key)
                page.get_by_role("button", name="Log in").click()
                expect(page.get_by_role("alert").filter(has_text=said)).to_have_count(1 if said else 0)
            expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
            expect(page.get_by_role("button", name="Submit")).to_have_count(0)
            expect(page.get_by_role("navigation", name="Pages", exact=True)).to_have_text("Jobs Inbox Spend")
            page.goto(f"{api.url}/console/operations")
            expect(page.get_by_text("It needs the scope admin.")).to_be_visible()
            [cookie] = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
            assert reader not in cookie["value"]

            page.goto(f"{api.url}/console/")
            tollgate(tmp_path, "keys", "revoke", reader.split("_")[1], REDIS_URL=here.redis_url)
            page.wait_for_url("**/console/login")
            page.get_by_label("API key").fill(admin)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("button", name="Submit")).to_be_visible()
            with window(browser) as other:  # the same session, in another window
                other.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]  # Playwright's own types
                other.goto(f"{api.url}/console/spend")
                expect(other.get_by_role("heading", name="Spend", exact=True)).to_be_visible()
                page.goto(f"{api.url}/console/logout")  # only the button logs out
                page.goto(f"{api.url}/console/")
                page.get_by_role("button", name="Log out").click()
                other.wait_for_url("**/console/login")
            page.goto(f"{api.url}/console/")
            assert page.url == f"{api.url}/console/login"


def test_other_pages_and_strangers_are_kept_out(served: Served) -> None:
    with httpx.Client(base_url=served.url) as client:
        for path in ("/console/", "/console/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/console/logout"):
            assert client.get(path, headers={"Origin": "https://elsewhere.example"}).status_code == 403
        assert client.get("/console/", headers={"Host": "elsewhere.example"}).status_code == 421
        assert client.post("/console/login", data={"key": "x" * 5000}).status_code == 413
        assert client.get("/console/", headers={"Origin": "http://["}).status_code == 403
        odd = {"Content-Type": "multipart/form-data"}
        assert client.post("/console/login", content=b"?", headers=odd).status_code == 401
        missing = client.get("/console/_nicegui/elsewhere")  # needs no key, and a page would be kept
        assert (missing.status_code, missing.text) == (404, "There is no such page.\n")
        policy = client.get("/console/").headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
    address = served.url.replace("http", "ws") + "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin=Origin("https://elsewhere.example"))
    with connect(address) as socket:
        assert str(socket.recv()).startswith("0")


def test_open_pages_leave_connections_to_others(tmp_path: Path) -> None:
    with deployment(tmp_path) as here, replica(here, descriptors=164) as api, contextlib.ExitStack() as pages:
        address = api.url.replace("http", "ws") + "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        most = 64 // 8
        for _ in range(most):
            pages.enter_context(connect(address))
        with pytest.raises(InvalidStatus, match="403"):
            connect(address)
        assert httpx.get(f"{api.url}/healthz").status_code == 200
