"""The units of search: sections short enough to embed, their terms, and excerpts of whole sentences."""

import re
import unicodedata
from dataclasses import dataclass

from mcp_servers.base.formats import in_parts
from mcp_servers.knowledge_base.documents import SourceDocument

EXCERPT_CHARACTERS = 400
PASSAGE_CHARACTERS = 4000

# Lists of links name every publisher and topic, and would match every query; `read_document` still shows them.
UNSEARCHED = frozenset({"sources", "references", "see also"})

# Scripts without spaces between words: Thai to Khmer, Japanese, Chinese; and Korean, whose words take endings.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_UNSPACED += "\U00020000-\U0003ffff"
_SIGNS = "\u0900-\u0963\u0966-\u0dff"  # of India's scripts, whose vowels are not letters to `\w`
_WORD = re.compile(rf"\d+(?:[.,]\d+)*|[{_UNSPACED}]+|(?:[^\W{_UNSPACED}]|[{_SIGNS}]){{2,}}")
_ASCII_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w\w+", re.ASCII)
_ACCENT = re.compile(r"[\u0300-\u036f]")
_UNACCENTED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe"})
_SENTENCE_END = re.compile(r"(?<=[\u3002\uff01\uff1f])|(?<=[.!?])(?<!\b[A-Z]\.)\s+(?=[\"'(]?[A-Z0-9])")
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


@dataclass(frozen=True, slots=True)
class Passage:
    """A section of a document, or a part of a long one."""

    document: SourceDocument
    section: str
    text: str
    reliable: bool

    @property
    def searched(self) -> str:
        """The text to index and embed; a section needs its document's title and topics to be found."""
        return f"{self.document.title}\n{self.document.keywords}\n{self.section}\n{self.text}"


def passages_of(document: SourceDocument) -> list[Passage]:
    """The passages of a document, in its order."""
    return [
        Passage(document, section.title, part, section.reliable)
        for section in document.sections
        if section.title.lower() not in UNSEARCHED
        for part in in_parts(section.text, PASSAGE_CHARACTERS)
    ]


def terms(text: str) -> list[str]:
    """Lower-case words without accents and numbers, stemmed, without stop words; pairs of characters where a script
    does not separate words (as Lucene's CJKAnalyzer does)."""
    return [term for word in words(text) for term in terms_of_word(word)]


def words(text: str) -> list[str]:
    """Lower-case words and numbers as written, without accents."""
    if text.isascii():  # faster
        found: list[str] = _ASCII_WORD.findall(text.lower())
        return found
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text.casefold().translate(_UNACCENTED)))
    return _WORD.findall(unicodedata.normalize("NFC", plain))


def terms_of_word(word: str) -> list[str]:
    """What is looked up for one of `words`."""
    if re.match(f"[{_UNSPACED}]", word):
        return [word[at : at + 2] for at in range(max(len(word) - 1, 1))]
    return [] if word in _STOPWORDS else [_stem(word)]


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
