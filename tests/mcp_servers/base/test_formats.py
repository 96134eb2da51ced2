"""Documents as strangers bring them: each is read whole, or says what could not be read."""

import datetime
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
import pytest
from pptx.util import Inches

from mcp_servers.base import encodings
from mcp_servers.base.formats import Unreadable, read_file
from tests.data import CASES

MARKDOWN = CASES / "documents" / "markdown"
HTML = CASES / "documents" / "html_tables"
TABLE = "| Region | Returned | Sold |\n| --- | --- | --- |\n| North | 1 | 38,541 |\n| South | 2 | 12,345 |"
ROWS = [["Region", "Returned", "Sold"], ["North", "1", "38,541"], ["South", "2", "12,345"]]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NOT_YAML = "its front matter was left out, for it is not valid YAML"


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("colon_title", "# Body\n\nThe market grew by 12% in 2024.", NOT_YAML),
        ("at_sign", "We sold 507 units.", NOT_YAML),
        ("tab_yaml", "We sold 505 units.", NOT_YAML),
        ("obsidian_template", "Text of the template about chargers.", NOT_YAML),
        ("tuple_key", "We sold 502 units.", NOT_YAML),
        ("bad_date", "We sold 500 units.", NOT_YAML),
        ("date_key", "We sold 501 units.", ""),
        ("hugo_toml", "We sold 503 units.", ""),
    ],
)
def test_the_text_is_served_whatever_its_front_matter_is(name: str, text: str, note: str) -> None:
    raw = read_file(MARKDOWN / f"{name}.md")
    assert raw.text.strip() == text
    assert raw.note.startswith(note)
    assert bool(raw.note) == bool(note)


def test_front_matter_in_toml_is_understood() -> None:
    about = read_file(MARKDOWN / "hugo_toml.md").metadata
    assert (about["title"], about["date"], about["publisher"]) == ("Hugo post", "2024-05-01", "ACME")


@pytest.mark.parametrize(
    ("content", "metadata", "text"),
    [
        ("---\ntitle: A\n---\nText.", {"title": "A"}, "Text."),
        ("\ufeff---\ntitle: A\n---\nText.", {"title": "A"}, "Text."),
        ("---\r\ntitle: A\r\n---\r\nText.\r\nMore.", {"title": "A"}, "Text.\nMore."),
        ("---\ntitle: A\ntopics: [x, 2024-01-01]\n---\nText.", {"title": "A", "topics": ["x", "2024-01-01"]}, "Text."),
        ("---\n---\nText.", {}, "Text."),
        ("---\n# only a remark\n---\nText.", {}, "Text."),
        ("+++\ntitle = 'A'\n+++\nText.", {"title": "A"}, "Text."),
        ("+++\ntitle = A\n+++\nText.", {}, "Text."),
        ("---\nJust prose between rules.\n---\nText.", {}, "---\nJust prose between rules.\n---\nText."),
        ("---\ntitle: A\nand no end", {}, "---\ntitle: A\nand no end"),
        ("---\ntitle: {a: {b: 1}}\n---\nText.", {}, "Text."),
        ("---\n!!python/object/apply:os.system [echo]\n---\nText.", {}, "Text."),
        ("Text.\n\n---\n\nAfter a rule.\n\n---\n", {}, "Text.\n\n---\n\nAfter a rule.\n\n---"),
    ],
)
def test_front_matter_of_all_kinds(tmp_path: Path, content: str, metadata: dict[str, object], text: str) -> None:
    raw = read_file(written(tmp_path, "note.md", content))
    assert (raw.metadata, raw.text.strip()[: len(text)]) == (metadata, text)


GERMAN = "Der Umsatz der Müller GmbH stieg um 12 % auf 38,5 Millionen Euro, trotz größerer Kosten für Köln."
FRENCH = "Le chiffre d'affaires a augmenté de 12 % à 38,5 millions d'euros. Les ventes en été étaient élevées."
POLISH = "Sprzedaż wzrosła o 12% do 38,5 miliona złotych. Większość zamówień pochodziła z Łodzi i Gdańska."
RUSSIAN = "Выручка компании выросла на 12% и составила 38,5 миллиона рублей. Заказы поступили из Москвы."
GREEK = "Οι πωλήσεις αυξήθηκαν κατά 12% σε 38,5 εκατομμύρια ευρώ."  # noqa: RUF001
JAPANESE = "日本の充電器の台数は3万基です。昨年より増えました。"
CHINESE = "2024年中国电动汽车销量为1200万辆，同比增长35%。"  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "cp1252"),
        (FRENCH, "latin-1"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859_2"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (GREEK, "cp1253"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "gb18030"),
    ],
)
def test_text_in_a_clear_encoding_is_read_and_told(tmp_path: Path, text: str, encoding: str) -> None:
    raw = read_file(written(tmp_path, "note.txt", text.encode(encoding)))
    assert raw.text == text
    assert raw.note.startswith("not UTF-8, read as ") != encoding.startswith("utf")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Zürich", "latin-1"), ("Москва 12", "cp1251"), (GERMAN, "mac_roman"), (GERMAN, "cp850"), (RUSSIAN, "cp866")],
)
def test_text_in_an_unclear_encoding_is_refused_with_the_remedy(tmp_path: Path, text: str, encoding: str) -> None:
    with pytest.raises(Unreadable, match="save it as UTF-8"):
        read_file(written(tmp_path, "note.md", text.encode(encoding)))


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("page", "| [Chief executive](/ceo) | [Jane Roe](/jane) |"),
        ("page", "| Revenue | EUR 12 million |"),
        ("page", "| Profit | EUR 3 million |"),
        ("page", "| Products | Charger A: 100 units Charger B: 200 units |"),
        ("page", "| Staff | 540 |"),
        ("page", "| Debt | **EUR** 7 million (2024) |"),
        ("page", "| 2024 |  | 40 |"),
        ("page2", "| • [Chief executive](/ceo) | Jane Roe |"),
        ("page2", "| Markets | [Austria: 100 units](/at) [Germany: 200 units](/de) |"),
        ("page2", "| Debt | [EUR 7 million](#) |"),
    ],
)
def test_no_cell_of_a_page_is_empty(page: str, row: str) -> None:
    assert row in read_file(HTML / f"{page}.html").text.splitlines()


@pytest.mark.parametrize(
    ("body", "kept", "gone"),
    [
        ("<nav>Menu 1</nav><p>Text 2</p>", ["Text 2"], ["Menu"]),
        ("<p>Text 2</p><script>var a = 1</script><style>p {}</style><noscript>Turn on</noscript>", ["Text 2"], ["var"]),
        ("<h1>One</h1><h3>Three</h3><p>x</p>", ["# One", "### Three"], []),
        ("<dl><dt>Debt</dt><dd>EUR 7 million</dd></dl>", ["Debt", "EUR 7 million"], []),
        (
            "<table class=infobox><caption>ACME</caption><tr><th>Staff</th><td>540</td></tr></table>",
            ["| Staff | 540 |"],
            [],
        ),
        ("<p>10<sup>6</sup> units<sup>1</sup> of CO<sub>2</sub></p>", ["10^6^ units^1^ of CO2"], ["106"]),
        ("<ol><li>one<ul><li>inner</li></ul></li><li>two</li></ol>", ["1. one", "  - inner", "2. two"], []),
        ("<p>See <a href='https://example.org/x'>the report</a></p>", ["[the report](https://example.org/x)"], []),
        ("<table><tr><td>a|b</td><td>1</td></tr></table>", [r"| a\|b | 1 |"], []),
        ("<aside>Side 12</aside><footer>Imprint</footer><p>x</p>", ["Side 12"], []),
        ("<details><summary>More</summary><p>Inside 42</p></details>", ["Inside 42"], []),
        ("<div><p>One short line.</p></div>", ["One short line."], []),
        ("<p>5 &lt; 6 &amp; 7&nbsp;000</p>", ["5 < 6 & 7"], []),
    ],
)
def test_a_page_of_one_s_own_is_converted_whole(tmp_path: Path, body: str, kept: list[str], gone: list[str]) -> None:
    raw = read_file(
        written(tmp_path, "page.html", f"<html><head><title>T &amp; U</title></head><body>{body}</body></html>")
    )
    assert raw.title == "T & U"
    assert [each for each in kept if each not in raw.text] == []
    assert [each for each in gone if each in raw.text] == []


@pytest.mark.parametrize("meta", ["<meta charset='windows-1252'>", "<meta http-equiv=c content='t; charset=cp1252'>"])
def test_a_page_says_its_encoding(tmp_path: Path, meta: str) -> None:
    assert "Müller" in read_file(written(tmp_path, "p.htm", f"{meta}<p>Müller</p>".encode("cp1252"))).text


def word() -> docx.document.Document:
    made = docx.Document()
    made.add_heading("Key figures", 1)
    made.add_paragraph("Revenue grew by 12% to EUR 38.5 million.")
    return made


def with_table(made: docx.document.Document) -> None:
    table = made.add_table(3, 3)
    for row, cells in zip(table.rows, ROWS, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text


def with_merged_cells(made: docx.document.Document) -> None:
    table = made.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "Both"
    table.cell(1, 0).text, table.cell(1, 1).text = "a", "7"


def with_superscript(made: docx.document.Document) -> None:
    paragraph = made.add_paragraph("10")
    paragraph.add_run("6").font.superscript = True


def with_inner_table(made: docx.document.Document) -> None:
    inner = made.add_table(1, 2).cell(0, 1).add_table(1, 2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "in 1", "in 2"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (lambda made: None, ["# Key figures", "Revenue grew by 12% to EUR 38.5 million."]),
        (with_table, TABLE.splitlines()),
        (with_merged_cells, ["| Both |  |", "| a | 7 |"]),
        (with_superscript, ["10<sup>6</sup>"]),
        (with_inner_table, ["in 1 | in 2"]),
        (lambda made: made.add_heading("Outlook", 2), ["## Outlook"]),
        (lambda made: made.add_paragraph("Point", style="List Bullet"), ["- Point"]),
        (lambda made: made.add_paragraph("Tab\t12"), ["Tab\t12"]),
        (lambda made: made.add_paragraph("Müller & Söhne, 报告"), ["Müller & Söhne, 报告"]),
        (lambda made: made.sections[0].footer.paragraphs.__getitem__(0).add_run("Foot 9"), ["Foot 9"]),
    ],
)
def test_word(tmp_path: Path, more: Callable[[docx.document.Document], object], found: list[str]) -> None:
    made = word()
    more(made)
    made.save(str(tmp_path / "a.docx"))
    text = read_file(tmp_path / "a.docx").text
    assert [each for each in found if each not in text] == []


@pytest.mark.parametrize(
    ("value", "shape", "shown"),
    [
        ("Text", "General", "Text"),
        (38541, "General", "38541"),
        (38541.5, "#,##0.00", "38,541.50"),
        (0.125, "0.0%", "12.5%"),
        (datetime.date(2024, 5, 1), "yyyy-mm-dd", "2024-05-01"),
        (True, "General", "TRUE"),
        ("a|b", "General", r"a\|b"),
        ("two\nlines", "General", "two<br>lines"),
        ("报告", "General", "报告"),
        (-12, "General", "-12"),
        (1e-9, "General", "0.000000001"),
    ],
)
def test_a_cell_of_a_sheet_is_what_it_shows(tmp_path: Path, value: object, shape: str, shown: str) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sales"
    sheet.append(["Name", "Value"])
    sheet.append(["x", value])
    sheet["B2"].number_format = shape
    book.create_sheet("Empty")
    book.create_sheet("Second")["A1"] = "more 5"
    book.save(tmp_path / "a.xlsx")
    text = read_file(tmp_path / "a.xlsx").text
    assert "## Sales\n\n| Name | Value |\n| --- | --- |\n" in text
    assert f"| x | {shown} |" in text
    assert "## Second" in text
    assert "more 5" in text


def slides() -> pptx.presentation.Presentation:
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text, first.placeholders[1].text = "Market 2024", "Chargers: 507 units\nDepots: 12"
    first.notes_slide.notes_text_frame.text = "Said: 99 chargers"
    second = made.slides.add_slide(made.slide_layouts[5])
    second.shapes.title.text = "Figures"
    table = second.shapes.add_table(3, 3, Inches(1), Inches(2), Inches(6), Inches(2)).table
    for y, row in enumerate(ROWS):
        for x, text in enumerate(row):
            table.cell(y, x).text = text
    box = second.shapes.add_textbox(0, 0, Inches(2), Inches(1))
    box.text_frame.text = "In a box: 7"
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(2), Inches(1)).text_frame.text = "In a group: 8"
    return made


def test_slides(tmp_path: Path) -> None:
    slides().save(str(tmp_path / "a.pptx"))
    text = read_file(tmp_path / "a.pptx").text
    said = ["## Market 2024", "- Chargers: 507 units", "- Depots: 12", "Said: 99 chargers", "## Figures", TABLE]
    said += ["In a box: 7", "In a group: 8"]
    assert [each for each in said if each not in text] == []


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pptx", "pdf"])
@pytest.mark.parametrize("content", [b"PK\x03\x04 no more", b"", b"\x00" * 100, b"<html>not it</html>"])
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str, content: bytes) -> None:
    with pytest.raises(Unreadable, match="not a readable"):
        read_file(written(tmp_path, f"a.{kind}", content))


def test_an_empty_file_is_clear() -> None:
    assert encodings.of_file(b"") == ("", "")
