"""The researcher: search, read the best documents, quote the sentences that answer; the web where these say nothing."""

import re
from collections.abc import Generator, Sequence
from itertools import takewhile

from agents.base import AgentResult, Confidence, Finding
from app.stand_in import policy as generic
from app.stand_in.packets import SpecialistPacket
from app.stand_in.policy.agent import accepted
from app.stand_in.turns import Answer, Script, rows_of
from app.stand_in.wire import Call, FunctionSpec
from app.stand_in.words import FILLER
from sample.rules import vocabulary
from sample.rules.claims import LONGEST_CLAIM, LONGEST_PERIOD, listed, state
from sample.rules.periods import times
from sample.rules.places import speaks_for
from sample.rules.reading import content_words
from sample.rules.relevance import Wanted, is_near, select
from sample.rules.sentences import Sentence, sentences_of
from sample.rules.unread import ENGLISH_ONLY, NOTHING_KNOWN, is_foreign, unread_of_sources
from sample.rules.vocabulary import says

PASSAGES = 8
MOST_SEARCHES = 3
MOST_DOCUMENTS = 4
MOST_PAGES = 3
MOST_FINDINGS = 30
LONGEST_QUERY = 300
LONGEST_UNIT = 60

_FIGURE = re.compile(
    r"(?P<currency>EUR|USD|GBP|NOK|SEK|CNY)?\s?(?<![\w.,-])(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?P<unit>\s?%|\s(?:million|billion|thousand)\b(?:\s[a-z-]+){0,2}|\s[a-z-]{3,}(?:\s[a-z-]{3,})?)?"
)
_DATE = re.compile(
    rf"\b\d{{1,2}} (?:{'|'.join(vocabulary.MONTHS)})(?: \d{{4}})?|\b(?:19|20)\d\d\b|\b(?:ISO|CO) ?\d+(?:-\d+)?",
    re.IGNORECASE,
)


def researcher(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """Searches once (or once per country), then reads at most four documents, or pages of the web."""
    objective = packet.objective.removeprefix(vocabulary.MARKET_FRAME).strip()
    if is_foreign(objective):
        return AgentResult(findings=[], gaps=[ENGLISH_ONLY])
    wanted = Wanted.of(objective)
    if not (wanted.reading.topics or wanted.reading.rivals):
        return (yield from generic.work(packet.about(objective), tools))
    searched = yield [Call("knowledge_base__search", {"query": query, "limit": PASSAGES}) for query in _queries(wanted)]
    if all(answer.failed for answer in searched):
        return AgentResult(findings=[], gaps=[f"The knowledge base gave no answer: {searched[0].problem}."])
    ids = _documents(wanted, searched)
    documents = (yield [Call("knowledge_base__read_document", {"id": each}) for each in ids]) if ids else []
    chosen = select(wanted, _sentences(documents))
    beside: list[str] = []
    if not chosen:
        pages, beside = yield from _pages(wanted)
        chosen = select(wanted, _sentences(pages))
    gaps = _gaps(wanted, chosen) + (unread_of_sources(objective) if chosen else beside)
    return accepted(
        AgentResult(findings=[_finding(each) for each in chosen][:MOST_FINDINGS], gaps=gaps), packet.feedback
    )


def _sentences(answers: list[Answer]) -> list[Sentence]:
    return [each for answer in answers if not answer.failed for each in sentences_of(answer)]


def _pages(wanted: Wanted) -> Generator[list[Call], list[Answer], tuple[list[Answer], list[str]]]:
    """The pages that the web has on it, and what to say if they do not tell it. Neither where there is no web."""
    searched = yield [Call("web__search_web", {"query": query}) for query in _queries(wanted)]
    if not any(answer.was_offered for answer in searched):
        return [], []
    if all(answer.failed for answer in searched):
        return [], [f"The web gave no answer: {searched[0].problem}."]
    rows = [row for answer in searched if not answer.failed for row in rows_of(answer.text).rows]
    urls = dict.fromkeys(row["url"] for row in rows if row.get("url"))
    pages = (yield [Call("web__fetch_page", {"url": each}) for each in list(urls)[:MOST_PAGES]]) if urls else []
    read = sum(not page.failed for page in pages)
    return pages, [f"Nor does the web, of which {read} of {len(urls)} pages found were read."]


def _queries(wanted: Wanted) -> list[str]:
    """The words that carry the meaning; for several countries one query each."""
    words = " ".join(content_words(wanted.reading.text))[:LONGEST_QUERY]
    years = " ".join(map(str, sorted(wanted.years)[:3]))
    regions = wanted.places[:MOST_SEARCHES] if len(wanted.places) > 1 else [" ".join(wanted.places)]
    return [
        " ".join(f"{words} {region} {years}".split()) or wanted.reading.text[:LONGEST_QUERY] or "market"
        for region in regions
    ]


def _documents(wanted: Wanted, searched: list[Answer]) -> list[str]:
    """Ids of the best documents: about the place and the subject, by title or excerpt, best first."""
    ranks: dict[str, float] = {}
    for answer in searched:
        for rank, row in enumerate(rows_of(answer.text).rows if not answer.failed else []):
            title, excerpt = row.get("title", ""), row.get("excerpt", "")
            if row.get("id") and is_near(wanted, f"{title} {excerpt}"):
                is_on_topic = any(says(vocabulary.TOPICS[topic], title) for topic in wanted.reading.topics)
                score = rank - 6 * is_near(wanted, title) - 3 * is_on_topic
                ranks[row["id"]] = min(score, ranks.get(row["id"], score))
    return sorted(ranks, key=lambda each: ranks[each])[:MOST_DOCUMENTS]


def _finding(sentence: Sentence) -> Finding:
    """The sentence as it stands, with its first figure as the value."""
    text = sentence.text
    if sentence.disputed:
        text = state("disagreement", {"statement": text.rstrip(".")})
    value, unit = _figure(sentence.text)
    spans = times(sentence.text).spans
    return Finding(
        claim=text[:LONGEST_CLAIM],
        value=value,
        unit=unit,
        period=(spans[0].label if spans else "")[:LONGEST_PERIOD],
        evidence=[sentence.evidence],
        confidence=_confidence(sentence),
    )


def _confidence(sentence: Sentence) -> Confidence:
    if sentence.disputed or sentence.confidence == "low":
        return "low"
    return "high" if sentence.confidence == "high" else "medium"


def _figure(text: str) -> tuple[float | None, str]:
    """The first number of a sentence with its unit; dates and names of standards are none."""
    match = _FIGURE.search(_DATE.sub(lambda date: " " * len(date.group()), text))
    if not match:
        return None, ""
    words = f"{match['currency'] or ''} {match['unit'] or ''}".split()
    unit = " ".join(takewhile(lambda word: word not in FILLER, words))
    return float(match["number"].replace(",", "")), unit[:LONGEST_UNIT]


def _gaps(wanted: Wanted, found: list[Sentence]) -> list[str]:
    """What was asked and no sentence tells: all of it, a place, a company, or a year that was named."""
    reading = wanted.reading
    subject = listed(reading.topics or list(wanted.entities))
    if not found and not subject:
        unknown = "" if reading.kinds else f"{NOTHING_KNOWN} "
        return [f"{unknown}No document in the knowledge base answers this: {reading.text[:200].strip('. ')}."]
    when = f" in {listed([str(year) for year in sorted(wanted.years)][:4])}" if wanted.years else ""
    if not found:
        where = f" for {listed(list(wanted.places))}" if wanted.places else ""
        return [_nothing_on(f"{subject}{where}{when}")]
    covered = [place for sentence in found for place in sentence.places]
    gaps = [
        _nothing_on(f"{subject} for {place}{when}")
        for place in wanted.places
        if not any(speaks_for(each, place) for each in covered)
    ]
    known = frozenset().union(*(sentence.years for sentence in found))
    single = [span.years[0] for span in reading.times.spans if len(span.years) == 1]
    gaps += [_nothing_on(f"{subject} for {year}") for year in single if year not in known]
    if "agreement" in reading.intents and not any(sentence.disputed for sentence in found):
        gaps.append("The documents found do not compare their sources, so whether these agree cannot be told.")
    return gaps


def _nothing_on(what: str) -> str:
    return f"No document in the knowledge base gives {what}."
