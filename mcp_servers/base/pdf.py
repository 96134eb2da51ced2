"""Reads the text of a PDF's page with PDFium, keeping words and the cells of tables apart.

PDFium's own text merges cells: it sees no gap that a PDF makes by moving the pen. Reading the place of each character
would take ten times as long, so that is done only on lines that are wider than their text, or of numbers.
"""

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2 as pdfium  # type: ignore[import-untyped]
from pypdfium2 import raw

# In heights of the line.
CELL_GAP = 0.7  # between cells; words are nearer
INSIDE_GAP = 0.25  # between characters of different words
TOUCHING = 0.15  # between characters of one word
WIDE_LINE = 0.48  # per character: prose takes less
WIDE_WORD = 0.75

RAISED = 0.75  # of the height of the text before it

SHORT_CELL = 60  # characters
SAMPLES = 50  # characters of a page that are looked at

_DIVIDED = "\ufffe"  # PDFium's sign for a word that goes on in the next line
_WORD_GOES_ON = re.compile(rf"(?<=[^\W\d]){_DIVIDED}\n?(?=[^\W\d])")
_AMOUNT = re.compile(r"[^\w\s]*\d[\d.,\s%()-]*")

Box = tuple[float, float, float, float]  # left, bottom, right, top, seen along the line


@dataclass(slots=True)
class Piece:
    """A word, a cell, or a line of text."""

    text: str
    left: float
    bottom: float
    right: float
    height: float

    def beside(self, other: "Piece") -> bool:
        """Whether both stand on one line, without overlapping."""
        height = min(self.height, other.height)
        apart = self.left > other.right - height / 2 or self.right < other.left + height / 2
        return abs(self.bottom - other.bottom) < 0.4 * height and apart


def read_page(page: pdfium.PdfPage) -> tuple[str, bool]:
    """The text of a page, rows of tables as rows of Markdown, and whether its characters are known."""
    letters = _Letters(page)
    text = "\n".join(_lines(_rows(list(letters.pieces()))))
    if _DIVIDED in text:
        text = _WORD_GOES_ON.sub("", text).replace(_DIVIDED, "-")
    return text.strip(), letters.are_known()


class _Letters:
    """The characters of a page, by their place in its text."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._textpage = page.get_textpage()
        self._handle = self._textpage.raw
        self._quarters = page.get_rotation() // 90
        self._rectangle = raw.FS_RECTF()
        self._pointer = ctypes.byref(self._rectangle)
        self._text = self._textpage.get_text_range()
        self._straight = len(self._text) == self._textpage.count_chars()
        self._raised = frozenset(self._raised_after_digits())

    def are_known(self) -> bool:
        """Whether the fonts say what most of a sample of the characters mean."""
        step = max(1, len(self._text) // SAMPLES)
        seen = [self._at(i) for i in range(0, len(self._text), step) if not self._text[i].isspace()]
        lost = sum(raw.FPDFText_HasUnicodeMapError(self._handle, each) == 1 for each in seen)
        return bool(lost * 10 <= len(seen))

    def _raised_after_digits(self) -> Iterator[int]:
        """Where footnote marks and exponents begin, which would join the number before them."""
        edges = [ctypes.c_double() for _ in range(4)]
        places = [ctypes.byref(each) for each in edges]
        right, bottom, height = 0.0, 0.0, 0.0
        for index in range(raw.FPDFText_CountRects(self._handle, 0, -1)):
            raw.FPDFText_GetRect(self._handle, index, *places)
            left, top, ends, low = (each.value for each in edges)
            if top - low < RAISED * height and low > bottom + height / 4 and abs(left - right) < height:
                at = raw.FPDFText_GetCharIndexAtPos(self._handle, left + 0.5, (top + low) / 2, 2, 2)
                at = at if self._straight or at < 0 else raw.FPDFText_GetTextIndexFromCharIndex(self._handle, at)
                if at > 0 and self._text[at - 1].isdigit():
                    yield at
            else:
                right, bottom, height = ends, low, top - low
                continue
            right = ends

    def _marked(self, text: str, start: int) -> str:
        """The text from `start` on, with a caret before what is raised: `10^6`."""
        for at in sorted(self._raised.intersection(range(start, start + len(text))), reverse=True):
            text = f"{text[: at - start]}^{text[at - start :]}"
        return text

    def pieces(self) -> Iterator[Piece]:
        """All pieces, in the order in which they were drawn: one column after the other."""
        for match in re.finditer(r"\S(?:[^\r\n]*\S)?", self._text):
            yield from self._pieces_of(match[0], match.start())

    def _pieces_of(self, line: str, start: int) -> Iterator[Piece]:
        end = start + len(line) - 1
        quarters = self._quarters
        first, last = self._box(start, quarters), self._box(end, quarters)
        if len(line) > 2 and abs(up := last[1] - first[1]) > abs(last[0] - first[0]):  # across the page
            quarters = (quarters + (1 if up > 0 else 3)) % 4
            first, last = self._box(start, quarters), self._box(end, quarters)
        height, width = first[3] - first[1] or 1.0, last[2] - first[0]
        is_row = width > WIDE_LINE * height * len(line) or (" " in line and _AMOUNT.fullmatch(line))
        if width > 0 and is_row:
            yield from self._words(line, start, quarters, height)
        else:  # of a width below 0 if it runs from right to left
            line = self._marked(line, start)
            yield Piece(line, min(first[0], last[0]), first[1], max(first[2], last[2]), height)

    def _words(self, line: str, start: int, quarters: int, height: float) -> Iterator[Piece]:
        for match in re.finditer(r"\S+", line):
            word, at = match[0], start + match.start()
            first, last = self._box(at, quarters), self._box(at + len(word) - 1, quarters)
            if len(word) == 1 or last[2] - first[0] < WIDE_WORD * height * len(word):
                yield Piece(self._marked(word, at), first[0], first[1], last[2], height)
                continue
            begun, before = 0, first
            for index in range(1, len(word) + 1):
                box = self._box(at + index, quarters) if index < len(word) else None
                if box is None or box[0] - before[2] > INSIDE_GAP * height:
                    part = self._marked(word[begun:index], at + begun)
                    yield Piece(part, first[0], first[1], before[2], height)
                    begun, first = index, box or first
                before = box or before

    def _box(self, index: int, quarters: int) -> Box:
        at = index if self._straight else self._at(index)
        raw.FPDFText_GetLooseCharBox(self._handle, at, self._pointer)
        box = self._rectangle
        if quarters == 0:
            return box.left, box.bottom, box.right, box.top
        if quarters == 1:
            return box.bottom, -box.right, box.top, -box.left
        if quarters == 2:
            return -box.right, -box.top, -box.left, -box.bottom
        return -box.top, box.left, -box.bottom, box.right

    def _at(self, index: int) -> int:
        return index if self._straight else raw.FPDFText_GetCharIndexFromTextIndex(self._handle, index)


def _rows(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces on one line, from left to right. A table may have been drawn column by column."""
    rows: list[list[Piece]] = []
    by_height: dict[int, list[list[Piece]]] = {}
    amounts = [bool(_AMOUNT.fullmatch(piece.text)) for piece in pieces] + [False, False]
    for at, piece in enumerate(pieces):
        row = rows[-1] if rows and piece.beside(rows[-1][-1]) else None
        # In a column of numbers, or above one; a number alone may be of a text in columns.
        if row is None and ((amounts[at] and (amounts[at - 1] or amounts[at + 1])) or all(amounts[at + 1 : at + 3])):
            row = _row_to_the_left(piece, by_height)
        if row is None:
            rows.append(row := [])
            by_height.setdefault(round(piece.bottom), []).append(row)
        row.append(piece)
    return [_cells(sorted(row, key=lambda piece: piece.left)) if len(row) > 1 else row for row in rows]


def _cells(row: list[Piece]) -> list[Piece]:
    """Words put together, and letters that were drawn one by one."""
    cells = row[:1]
    for piece in row[1:]:
        gap = (piece.left - cells[-1].right) / piece.height
        if gap > CELL_GAP:
            cells.append(piece)
        else:
            space = "" if abs(gap) < TOUCHING else " "
            cells[-1].text += space + piece.text
            cells[-1].right = piece.right
    return cells


def _row_to_the_left(piece: Piece, by_height: dict[int, list[list[Piece]]]) -> list[Piece] | None:
    """The row of short cells beside which a cell stands that was drawn later."""
    at = round(piece.bottom)
    near = [row for height in (at, at - 1, at + 1) for row in by_height.get(height, ())]
    short = (row for row in near if max(len(piece.text), len(row[-1].text)) < SHORT_CELL)
    return next((row for row in short if row[-1].right < piece.left and piece.beside(row[-1])), None)


def _lines(rows: list[list[Piece]]) -> Iterator[str]:
    """A row is of a table if a row before or after it has cells too."""
    sizes = [0, *map(len, rows), 0]
    for index, row in enumerate(rows, start=1):
        if len(row) > 1 and max(sizes[index - 1], sizes[index + 1]) > 1:
            yield f"| {' | '.join(piece.text.replace('|', chr(92) + '|') for piece in row)} |"
        else:
            yield "   ".join(piece.text for piece in row)
