"""A report as a Word document: headings, tables and links of its own, so that it can be edited and quoted.

Charts are pictures, because Word needs one beside an SVG anyway; without them their titles refer to the other forms.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import docx
from docx.document import Document as Word
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.table import _Cell
from docx.text.paragraph import Paragraph
from docx.text.run import Run
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from app.reports.document import Document
from app.reports.drawing import described, svg
from app.reports.exhibits import cut, exhibit
from app.reports.figures import FIGURE
from app.reports.sources import Source

ROWS, COLUMNS, CHARS, CELL_CHARS = 25, 12, 2_000, 400  # of each piece of evidence; the HTML page has all of it
DEEPEST = 60  # elements within elements; the rest is left out
INK, SOFT, WARN = RGBColor(0x1F, 0x23, 0x28), RGBColor(0x57, 0x60, 0x6A), RGBColor(0x8A, 0x3B, 0x00)
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_PICTURE = "The chart is in the HTML and PDF forms of this report."
_SIDES = {"right": WD_ALIGN_PARAGRAPH.RIGHT, "center": WD_ALIGN_PARAGRAPH.CENTER}


def pictures_of(document: Document) -> dict[str, str]:
    """The charts that the document shows, as SVG by a key."""
    series = [each.meta[FIGURE] for each in document.body if each.type == FIGURE]
    drawn = {each.key: svg(each) for each in series}
    return drawn | {name: each.svg for name, each in document.evidence.items() if each.svg}


def word(document: Document, pictures: Mapping[str, bytes]) -> bytes:
    """The document. `pictures` are PNGs by the keys of `pictures_of`; one that is missing is replaced by a sentence."""
    made = _Writer(document, pictures).written()
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


class _Writer:
    """Writes one document."""

    def __init__(self, document: Document, pictures: Mapping[str, bytes]) -> None:
        self.document, self.pictures = document, pictures
        self.there = {each.id for each in document.appendix}
        self.word: Word = docx.Document()
        self.marks = 0

    def written(self) -> Word:
        document = self.document
        _dressed(self.word, document.title)
        self.word.add_paragraph(_xml(document.title), style="Title")
        if document.question:
            self._said(document.question, SOFT).italic = True
        self._rows([[name, told] for name, told in document.facts], head=False)
        if document.partial:
            self._blocks(document.partial, colour=WARN)
        if document.notice:
            self._said(document.notice, SOFT)
        self._blocks(document.body)
        for section in document.sections:
            self.word.add_heading(section.title, 1)
            self._blocks(section.tokens)
        self.word.add_heading("Sources", 1)
        for source in document.sources:
            self._source(source)
        if not document.sources:
            self.word.add_paragraph("No source is cited.")
        self.word.add_heading("Method", 1)
        self._blocks(document.method.tokens)
        self.word.add_heading("Evidence", 1).paragraph_format.page_break_before = True
        for source in document.appendix:
            self._evidence(source)
        return self.word

    def _said(self, text: str, colour: RGBColor) -> Run:
        run = self.word.add_paragraph().add_run(_xml(text))
        run.font.color.rgb = colour
        return run

    def _blocks(self, tokens: Sequence[Token], colour: RGBColor | None = None) -> None:
        for node in SyntaxTreeNode(tokens).children:
            if node.type == FIGURE:
                series = node.meta[FIGURE]
                self._picture(series.key, described(series), node.content)
            else:
                self._block(node, colour=colour)

    def _block(
        self, node: SyntaxTreeNode, style: str = "Normal", depth: int = 0, colour: RGBColor | None = None
    ) -> None:
        if depth > DEEPEST:
            return
        match node.type:
            case "heading":
                self._inline(self.word.add_heading("", int(node.tag[1:]) - 1), node)
            case "paragraph":
                paragraph = self.word.add_paragraph(style=style)
                self._inline(paragraph, node)
                for run in paragraph.runs if colour else []:
                    run.font.color.rgb = colour
            case "fence" | "code_block":
                _mono(self.word.add_paragraph().add_run(_xml(node.content)))
            case "table":
                self._table(node)
            case "bullet_list" | "ordered_list":
                kind = "List Bullet" if node.type == "bullet_list" else "List Number"
                for item in node.children:
                    for child in item.children:
                        self._block(child, kind, depth + 1)
            case "blockquote":
                for child in node.children:
                    self._block(child, "Quote", depth + 1)

    def _table(self, node: SyntaxTreeNode) -> None:
        rows = [row for part in node.children for row in part.children]
        table = self._new_table(len(rows), len(rows[0].children))
        for line, row in zip(table.rows, rows, strict=True):
            for cell, inside in zip(line.cells, row.children, strict=False):
                paragraph = cell.paragraphs[0]
                self._inline(paragraph, inside)
                side = "right" if inside.attrs.get("class") == "num" else str(inside.attrs.get("style", ""))[11:]
                paragraph.alignment = _SIDES.get(side)
        _headed(table)

    def _rows(self, rows: Sequence[Sequence[str]], *, head: bool = True, num: Sequence[bool] = ()) -> Any:
        table = self._new_table(len(rows), len(rows[0]))
        for line, row in zip(table.rows, rows, strict=True):
            for at, (cell, text) in enumerate(zip(line.cells, row, strict=True)):
                cell.text = _xml(cut(text, CELL_CHARS))
                if at < len(num) and num[at]:
                    cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
        if head:
            _headed(table)
        return table

    def _new_table(self, rows: int, columns: int) -> Any:
        table = self.word.add_table(rows, columns, style="Light Shading")
        table.alignment, table.autofit = WD_TABLE_ALIGNMENT.LEFT, True
        return table

    def _inline(self, paragraph: Paragraph, node: SyntaxTreeNode, **marks: bool) -> None:
        """The text of the node, in runs; `marks` are those of the elements around it."""
        for child in node.children:
            match child.type:
                case "text" | "code_inline":
                    run = paragraph.add_run(_xml(child.content))
                    run.bold, run.italic = marks.get("bold"), marks.get("italic")
                    if child.type == "code_inline":
                        _mono(run)
                case "softbreak" | "hardbreak":
                    paragraph.add_run(" ")
                case "strong":
                    self._inline(paragraph, child, **{**marks, "bold": True})
                case "em":
                    self._inline(paragraph, child, **{**marks, "italic": True})
                case "link":
                    _linked(paragraph, self._target(str(child.attrs["href"])), _text(child))
                case "image":
                    chart = child.meta["chart"]
                    self._picture(chart, child.content, child.content, paragraph)
                case _:
                    self._inline(paragraph, child, **marks)

    def _target(self, target: str) -> str:
        """The address, or `#` and the bookmark of the evidence; "" if the link leads nowhere."""
        if not target.startswith("#"):
            return target
        name = target[1:].partition("-")[0]
        return f"#{name}" if name in self.there else ""

    def _picture(self, key: str, told: str, title: str, where: Paragraph | None = None) -> None:
        paragraph = where or self.word.add_paragraph()
        if png := self.pictures.get(key):
            shape = paragraph.add_run().add_picture(io.BytesIO(png), width=Cm(15))
            shape._inline.docPr.set("descr", _xml(told))
        if not where:
            run = self.word.add_paragraph().add_run(_xml(title if png else f"{title} {_NO_PICTURE}"))
            run.font.size, run.font.color.rgb = Pt(8.5), SOFT
        elif not png:
            paragraph.add_run(_xml(f"{title}. {_NO_PICTURE}"))

    def _source(self, source: Source) -> None:
        paragraph = self.word.add_paragraph()
        paragraph.paragraph_format.left_indent, paragraph.paragraph_format.first_line_indent = Cm(0.8), Cm(-0.8)
        paragraph.add_run(_xml(f"{source.number}.\t{source.words}"))
        if source.address:
            paragraph.add_run(", ")
            _linked(paragraph, source.address, source.address)
        if source.doubts:
            paragraph.add_run(_xml(f" ({'; '.join(source.doubts)})")).font.color.rgb = WARN
        paragraph.add_run(" (")
        _linked(paragraph, self._target(f"#{source.id}"), source.id)
        paragraph.add_run(")")

    def _evidence(self, source: Source) -> None:
        of = f" (source {source.number})" if source.number else ""
        heading = self.word.add_heading(_xml(f"{source.id}{of}: {source.words}"), 2)
        self.marks += 1
        _bookmarked(heading, source.id, self.marks)
        for name, told in source.call[:-1]:
            run = self.word.add_paragraph().add_run(_xml(f"{name}: {told}"))
            run.font.size, run.font.color.rgb = Pt(8.5), SOFT
        shown = exhibit(source.id, self.document.evidence[source.id], self.document.carriers, ROWS, CHARS)
        if 0 < len(shown.columns) <= COLUMNS:
            rows = [[each.name for each in shown.columns], *([cell.text for cell in row] for row in shown.rows)]
            table = self._rows(rows, num=[each.num for each in shown.columns])
            for line, row in zip(table.rows[1:], shown.rows, strict=True):
                for cell, inside in zip(line.cells, row, strict=True):
                    if inside.anchor:
                        _shaded(cell, "FFE9A8")
        else:
            lines = [each.text for each in shown.lines] or cut(
                self.document.evidence[source.id].text, CHARS
            ).splitlines()
            _mono(self.word.add_paragraph().add_run(_xml("\n".join(lines))))
        if shown.more:
            more = f"{shown.more}; the HTML report has them" if shown.columns else shown.more
            self._said(more, SOFT)


def _dressed(word: Word, title: str) -> None:
    """Set properties, margins, fonts and colours."""
    word.core_properties.title, word.core_properties.language = _xml(title)[:255], "en"
    word.core_properties.author = word.core_properties.comments = ""
    for section in word.sections:
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.4)
    word.styles["Normal"].font.size = Pt(10.5)
    sizes = {"Title": 20, "Heading 1": 14, "Heading 2": 11, "Heading 3": 10.5, "Heading 4": 10.5}
    for name, size in sizes.items():
        word.styles[name].font.size, word.styles[name].font.color.rgb = Pt(size), INK


def _headed(table: Any) -> None:
    """Make the first row a head that is repeated on each page."""
    mark = OxmlElement("w:tblHeader")
    mark.set(qn("w:val"), "true")
    table.rows[0]._tr.get_or_add_trPr().append(mark)


def _linked(paragraph: Paragraph, target: str, text: str) -> None:
    if not target:
        paragraph.add_run(_xml(text))
        return
    link = OxmlElement("w:hyperlink")
    if target.startswith("#"):
        link.set(qn("w:anchor"), target[1:])
    else:
        link.set(qn("r:id"), paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    run = paragraph.add_run(_xml(text))
    run.font.color.rgb = RGBColor(0x0B, 0x57, 0xA4)
    link.append(run._r)
    paragraph._p.append(link)


def _bookmarked(paragraph: Paragraph, name: str, number: int) -> None:
    begin, end = OxmlElement("w:bookmarkStart"), OxmlElement("w:bookmarkEnd")
    begin.set(qn("w:id"), str(number))
    begin.set(qn("w:name"), name)
    end.set(qn("w:id"), str(number))
    paragraph._p.insert(0, begin)
    paragraph._p.append(end)


def _shaded(cell: _Cell, colour: str) -> None:
    shade = OxmlElement("w:shd")
    shade.set(qn("w:val"), "clear")
    shade.set(qn("w:fill"), colour)
    cell._tc.get_or_add_tcPr().append(shade)


def _mono(run: Run) -> None:
    run.font.name, run.font.size = "Courier New", Pt(8)


def _text(node: SyntaxTreeNode) -> str:
    return "".join(each.content for each in node.walk() if each.type in {"text", "code_inline"})


def _xml(text: str) -> str:
    """The text without characters that XML cannot have."""
    return _NOT_XML.sub("\ufffd", text)
