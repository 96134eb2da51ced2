"""The units of search: sections short enough to embed, their terms, and excerpts of whole sentences."""

import re
from dataclasses import dataclass

from mcp_servers.base.formats import in_parts
from mcp_servers.knowledge_base.documents import Library, SourceDocument

EXCERPT_CHARACTERS = 400
PASSAGE_CHARACTERS = 4000

# Lists of links name every publisher and topic, and would match every query; `read_document` still shows them.
UNSEARCHED = frozenset({"sources", "references", "see also"})

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)\s+(?=[\"'(]?[A-Z0-9])")
_SUFFIX = re.compile(r"(?<=\w{4})(?:ing|ed|er|e)$")
_STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a an and are as at be but by did do does for from had has have how if in into is it its many much no not
        of on or such than that the their then there these they this to was were what when where which who why
        will with
        """,
    )
)


@dataclass(frozen=True)
class Passage:
    """A section of a document, or a part of a long one."""

    document: SourceDocument
    section: str
    text: str

    @property
    def searched(self) -> str:
        """The text to index and embed; a section needs its document's title and topics to be found."""
        return f"{self.document.title}\n{self.document.keywords}\n{self.section}\n{self.text}"


def passages_of(library: Library) -> list[Passage]:
    """The passages of all documents, in the library's order."""
    return [
        Passage(document, section.title, part)
        for document in library.documents.values()
        for section in document.sections
        if section.title.lower() not in UNSEARCHED
        for part in in_parts(section.text, PASSAGE_CHARACTERS)
    ]


def terms(text: str) -> list[str]:
    """Lower-case words and numbers, stemmed, without stop words."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOPWORDS]


def excerpt(text: str, query: str) -> str:
    """The sentences nearest to the query, in text order, at most 400 characters in all."""
    asked = set(terms(query))
    sentences = _sentences(text)
    by_overlap = sorted(range(len(sentences)), key=lambda i: -len(asked.intersection(terms(sentences[i]))))
    chosen: list[int] = []
    room = EXCERPT_CHARACTERS
    for index in by_overlap:
        if len(sentences[index]) < room:
            chosen.append(index)
            room -= len(sentences[index]) + 1
    if not chosen:
        return sentences[by_overlap[0]][: EXCERPT_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"
    return " ".join(sentences[index] for index in sorted(chosen))


def _sentences(text: str) -> list[str]:
    lines = (re.sub(r"^(?:[-*+]|\d+[.)])\s+", "", line.strip()) for line in _unwrapped(text).splitlines())
    return [sentence for line in lines if line for sentence in _SENTENCE_END.split(line)]


def _unwrapped(text: str) -> str:
    """Join the lines of hard-wrapped paragraphs; lists and tables keep theirs."""
    return re.sub(r"(?<=[^\n|])\n(?=\S)(?!\||[*+-]\s|\d+[.)]\s)", " ", text)


def _stem(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _SUFFIX.sub("", word)
