"""The HTML report in a real browser, under its own policy: readable by all, in light and dark, and on paper."""

import contextlib
import io
import unicodedata
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pypdf import PdfReader

from app.reports.page import POLICY, page
from tests.app.console.conftest import accessible, browser, window  # noqa: F401  a fixture
from tests.app.reports.made import SVG, evidence, finding, made, table
from tests.app.reports.test_figures import BODY, COLUMNS, YEARS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
ADDRESS = "http://127.0.0.1:1/report.html"
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"
LONG = [[f"a{number}", number] for number in range(60)]


def report(**state: object) -> str:
    known = {
        "E1": table(COLUMNS, *YEARS),
        "E2": evidence("two shops\nsome 20% of 7 shops", kind="text"),
        "E3": evidence(kind="chart", svg=SVG),
        "E4": table([HOSTILE, "n"], *LONG),
    }
    claims = [
        finding("Sales grew by 20% in 2024, according to the union.", "E2", value=20, unit="%"),
        finding(
            "Sales grew by 21.1% in 2024.", "E1", value=21.1, unit="%", confidence="low", marks=["untrusted_source"]
        ),
    ]
    body = f"{BODY} A fifth: 20% of {HOSTILE} [2]. And 59 [4].\n\n![a trend](evidence/E3.svg)"
    return page(made(body, known, *claims, **state))


@contextlib.contextmanager
def opened(browser: Browser, shown: str, **options: object) -> Iterator[Page]:  # noqa: F811
    def answer(route: Route) -> None:
        route.fulfill(body=shown, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    with window(browser, **options) as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.route(ADDRESS, answer)
        page.goto(ADDRESS)
        yield page
        assert page.title() == "Revenue"
        assert said == [], "the policy has blocked nothing, as there is nothing to block"


@pytest.mark.parametrize(
    ("scheme", "state"),
    [
        ("light", {"status": "partial", "stop_reason": "budget_reached", "problems": ["“x”: 9"]}),
        ("dark", {}),
    ],
)
def test_it_is_accessible_and_its_evidence_opens(browser: Browser, scheme: str, state: dict[str, object]) -> None:  # noqa: F811
    with opened(browser, report(**state), color_scheme=scheme, bypass_csp=True) as page:
        expect(page.get_by_role("note")).to_have_count(len(state) // 3)
        expect(page.get_by_role("heading", level=2)).to_have_text(
            ["Where estimates differ", "Confidence and gaps", "Verified findings", "Sources", "Method", "Evidence"]
        )
        number = page.get_by_role("button", name="21.1", exact=True).first
        number.focus()
        page.keyboard.press("Enter")
        shown = page.locator(".peek:popover-open")
        expect(shown).to_contain_text("Source 1.")
        expect(shown.locator(".carries")).to_have_text("21.1")
        accessible(page)
        page.keyboard.press("Escape")
        expect(shown).to_have_count(0)
        page.get_by_role("button", name="20%", exact=True).first.click()
        expect(shown.locator("mark")).to_have_text("some 20% of 7 shops")
        shown.get_by_role("link", name="All of E2").click()
        expect(page.locator("mark:target")).to_be_visible()
        for summary in page.locator("summary").all():
            summary.evaluate("each => each.parentElement.open = true")
        accessible(page)


def test_hovering_shows_the_evidence_and_no_script_runs(browser: Browser) -> None:  # noqa: F811
    with opened(browser, report(), java_script_enabled=False) as page:
        number = page.get_by_role("button", name="18.9", exact=True).first
        number.hover()
        expect(page.locator("#peek-E1-0-2")).to_be_visible()
        page.mouse.move(0, 0)
        expect(page.locator("#peek-E1-0-2")).to_be_hidden()


def test_it_prints_with_all_evidence(browser: Browser) -> None:  # noqa: F811
    with opened(browser, report(), color_scheme="dark") as page:
        printed = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    text = unicodedata.normalize("NFKC", " ".join(" ".join(each.extract_text() for each in printed.pages).split()))
    assert len(printed.pages) >= 3
    for told in ("The end.", "Where estimates differ", "a59 59", "some 20% of 7 shops"):
        assert told in text
    assert "All of E1" not in text, "popovers are for the screen"
