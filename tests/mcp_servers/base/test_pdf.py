"""What stands in a PDF: numbers as they are printed, words apart, rows of tables as rows."""

import re

import pytest

from mcp_servers.base.formats import Unreadable, read_file, read_pdf
from tests.data import CASES
from tests.mcp_servers.pdfs import drawn, new

ROWS = [["Region", "Returned", "Sold"], ["North", "1", "38,541"], ["South", "2", "12,345"]]
TABLE = ["| Region | Returned | Sold |", "| North | 1 | 38,541 |", "| South | 2 | 12,345 |"]
FONTS = " ".join(
    f"/F{n} << /Type /Font /Subtype /Type1 /BaseFont /{name} >>" for n, name in [(1, "Helvetica"), (2, "Courier")]
)
AT = (20, 90, 160)


def lines_of(pdf: bytes) -> list[str]:
    [(_, text)] = read_pdf(pdf).pages
    return text.splitlines()


def shown(text: str, x: float, y: float, matrix: str = "1 0 0 1", size: float = 10) -> str:
    return f"BT {matrix} {x} {y} Tm /F1 {size} Tf ({text}) Tj ET\n"


def in_rows(at: tuple[float, ...] = AT, size: float = 10) -> str:
    return "".join(
        shown(cell, x, 700 - 20 * y, size=size) for y, row in enumerate(ROWS) for x, cell in zip(at, row, strict=True)
    )


def in_columns() -> str:
    return "".join(shown(row[x], AT[x], 700 - 20 * y) for x in range(3) for y, row in enumerate(ROWS))


def one_pen(*, of: str = "{}") -> str:
    """A row is one operator, whose numbers move the pen between its cells."""
    rows = (
        f"1 0 0 1 20 {700 - 20 * y} Tm [{' -2500 '.join(of.format(each) for each in row)}] TJ"
        for y, row in enumerate([[f"({cell})" for cell in row] for row in ROWS])
    )
    return f"BT /F1 10 Tf {' '.join(rows)} ET"


def letter_by_letter() -> str:
    """Every letter is placed by itself, as wide as Courier's are."""
    return "".join(
        shown(letter, x + 6 * at, 700 - 20 * y).replace("/F1", "/F2")
        for y, row in enumerate(ROWS)
        for x, cell in zip((20, 120, 220), row, strict=True)
        for at, letter in enumerate(cell)
    )


def upwards() -> str:
    return "".join(
        shown(cell, 100 + 20 * y, x, "0 1 -1 0") for y, row in enumerate(ROWS) for x, cell in zip(AT, row, strict=True)
    )


def downwards() -> str:
    return "".join(
        shown(cell, 300 - 20 * y, 700 - x, "0 -1 1 0")
        for y, row in enumerate(ROWS)
        for x, cell in zip(AT, row, strict=True)
    )


def upside_down() -> str:
    return "".join(
        shown(cell, 500 - x, 100 + 20 * y, "-1 0 0 -1")
        for y, row in enumerate(ROWS)
        for x, cell in zip(AT, row, strict=True)
    )


def spaced() -> str:
    """Wide spaces instead of places."""
    rows = (f"1 0 0 1 20 {700 - 20 * y} Tm ({' '.join(row)}) Tj" for y, row in enumerate(ROWS))
    return f"BT /F1 10 Tf 20 Tw {' '.join(rows)} ET"


@pytest.mark.parametrize(
    ("content", "turned"),
    [
        (in_rows(), 0),
        (in_rows(at=(20, 62, 116)), 0),
        (in_rows(size=4), 0),
        (in_rows(at=(20, 200, 420), size=24), 0),
        (in_columns(), 0),
        (one_pen(), 0),
        (letter_by_letter(), 0),
        (spaced(), 0),
        (upwards(), 0),
        (downwards(), 0),
        (upwards(), 90),
        (downwards(), 270),
        (upside_down(), 180),
    ],
    ids=[
        "in rows",
        "narrow",
        "small",
        "large",
        "in columns",
        "one pen",
        "letter by letter",
        "spaced",
        "upwards",
        "downwards",
        "turned left",
        "turned right",
        "upside down",
    ],
)
def test_a_table_is_rows_of_cells_however_it_was_drawn(content: str, turned: int) -> None:
    assert lines_of(drawn(content, turned=turned, fonts=FONTS)) == TABLE


def test_a_raised_mark_does_not_join_the_number_before_it() -> None:
    """A footnote, an exponent: 1,234 with note 1 is no 12,341."""
    marked = shown("Costs 1,234", 40, 700) + shown("1", 93, 704, size=5) + shown("and 10", 140, 700)
    [line] = lines_of(drawn(marked + shown("6", 170.5, 704, size=5)))
    assert re.sub(r"[| ]+", " ", line).strip() == "Costs 1,234^1 and 10^6"


@pytest.mark.parametrize("name", ["qQ_tf1_gap5", "qQ_tf10_td_gap10"])
def test_cells_that_stand_close_stay_apart(name: str) -> None:
    assert read_file(CASES / "documents" / "pdf" / f"{name}.pdf").pages[0][1].splitlines() == TABLE


def test_every_total_of_a_public_report_is_the_sum_of_its_cells() -> None:
    """NICS Firearm Background Checks, November 2015, by the FBI (public domain). One of its rows groups by spaces."""
    [(_, text)] = read_file(CASES / "documents" / "public" / "firearm_checks.pdf").pages
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[0] == "|"]
    numbers = [[int(re.sub("[, ]", "", cell)) for cell in row[1:]] for row in rows if row[1][0].isdigit()]
    assert len(numbers) == 56
    assert [row for row in numbers if sum(row[:-1]) != row[-1]] == []
    assert sum(row[-1] for row in numbers[:-1]) == numbers[-1][-1] == 2_236_457


def test_prose_is_left_as_it_is() -> None:
    """Lines that are stretched to the margin are no table, nor is a list."""
    said = "Fleet operators in Austria ran 412 depots in 2024, says the board, and 38,541 chargers. " * 12
    pdf = new()
    pdf.add_page()
    pdf.multi_cell(60, 6, said, align="J")
    text = " ".join(lines_of(bytes(pdf.output())))
    assert "|" not in text
    assert text.split() == said.split()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("the com-", "puter and"), "the computer and"),
        (("1. First", "2. Second"), "1. First\n2. Second"),
        (("a | b", "c | d"), "a | b\nc | d"),
        (("EUR 1 234 567", "USD 2 345"), "EUR 1 234 567\nUSD 2 345"),
        (("- 5.9%", "\\(12\\)"), "- 5.9%\n(12)"),
    ],
)
def test_lines_stay_lines(lines: tuple[str, ...], text: str) -> None:
    content = "".join(shown(line, 20, 700 - 12 * at) for at, line in enumerate(lines))
    assert "\n".join(lines_of(drawn(content))) == text


def test_a_bar_in_a_cell_is_no_border() -> None:
    content = in_rows().replace("North", "North|East")
    assert lines_of(drawn(content))[1] == r"| North\|East | 1 | 38,541 |"


NAMED = "<< /Type /Font /Subtype /Type1 /BaseFont /A+X /FirstChar 32 /LastChar 126 /Widths [{widths}] "
NAMED += "/Encoding << /Type /Encoding /Differences [32 {names}] >> >>"
PLAIN = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def named(pattern: str) -> str:
    return NAMED.format(widths="500 " * 95, names=" ".join(pattern.format(code) for code in range(32, 127)))


@pytest.mark.parametrize(
    ("font", "text", "lost"),
    [
        (PLAIN, "We sold 507 units in 2024, and 38,541 before.", False),
        (PLAIN, "Donaudampfschifffahrtsgesellschaft sold 507 units in 2024, and 38,541 before.", False),
        (PLAIN, "https://example.org/a/very/long/address/that/no/space/ever/divides", False),
        (named("/g{}"), "We sold 507 units in 2024, and 38,541 before.", True),
        (named("/uniE0{:02X}"), "We sold 507 units in 2024, and 38,541 before.", True),
        (PLAIN, "ThecompanysoldmorechargersinthenorththanintheyearbeforeThemarketgrew 507", True),
        (PLAIN, "Thecompanysold507unitsin2024and38,541before,morethaneverinitshistory.", True),
        (PLAIN, "\\(cid:12\\)\\(cid:5\\) \\(cid:7\\) units", True),
    ],
    ids=[
        "plain",
        "long word",
        "address",
        "no names",
        "private names",
        "no spaces",
        "no spaces between numbers",
        "no characters",
    ],
)
def test_text_of_which_much_is_lost_is_told(font: str, text: str, lost: bool) -> None:
    raw = read_pdf(
        drawn(shown("Fine.", 20, 700), shown(text, 20, 700).replace("/F1", "/F2"), fonts=f"/F1 {PLAIN} /F2 {font}")
    )
    assert raw.unreliable_pages == ((2,) if lost else ())
    assert raw.note.startswith("much of the text on page 2 is lost") == lost


def test_a_file_of_pictures_says_that_it_holds_no_text() -> None:
    with pytest.raises(Unreadable, match="no text in the PDF"):
        read_pdf(drawn("20 20 100 100 re f"))
