"""Which sentences of the documents answer an objective: about its places, years, companies and topics."""

import re
from dataclasses import dataclass, replace

from app.stand_in.words import stemmed
from sample.rules import vocabulary
from sample.rules.places import places, speaks_for
from sample.rules.reading import Reading, content_words, names, read
from sample.rules.sentences import Sentence
from sample.rules.vocabulary import says, spotted

MOST_SENTENCES = 6
MOST_DISPUTED = 3
MOST_TARGETS = 6
# How far below the best score a sentence may lie. Those that compare sources use fewer of the question's words.
WITHIN_BEST = 1.5
WITHIN_BEST_DISPUTED = 4.0
ENOUGH_WORDS = 0.75
TITLE_WEIGHT = 0.4

_CHANGE = re.compile(r"\d%|\bper cent\b|\b(?:more|fewer|less) than (?:the|a) year|\b(?:rose|fell|grew|up|down)\b")
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True)
class Wanted:
    """What a sentence must be about. `own_words` are those that no topic or company accounts for."""

    reading: Reading
    places: tuple[str, ...]
    entities: tuple[str, ...]
    words: frozenset[str]
    own_words: frozenset[str]
    years: frozenset[int]

    @classmethod
    def of(cls, objective: str) -> "Wanted":
        reading = read(objective)
        named = (name for name in names(reading.text) if name.lower() not in reading.rivals)
        entities = tuple(dict.fromkeys([*reading.rivals, *named]))
        accounted = [phrase for topic in reading.topics for phrase in vocabulary.TOPICS[topic]]
        rest = vocabulary.without([*accounted, *(each.lower() for each in entities)], reading.text)
        years = frozenset(year for span in reading.times.spans for year in span.years)
        return cls(reading, tuple(reading.places), entities, _stems(reading.text), _stems(rest), years)

    def targets(self) -> list["Wanted"]:
        """One for each company or, without companies, each place: so that none crowds out another."""
        if len(self.entities) > 1:
            return [replace(self, entities=(each,)) for each in self.entities[:MOST_TARGETS]]
        if len(self.places) > 1:
            return [replace(self, places=(each,)) for each in self.places[:MOST_TARGETS]]
        return [self]


def is_near(wanted: Wanted, text: str) -> bool:
    """Whether a text names the company and the place that were asked for, where any were."""
    found = places(text)
    here = any(speaks_for(each, place) for place in wanted.places for each in found)
    return (here or not wanted.places) and (not wanted.entities or _is_about(wanted.entities, text))


def select(wanted: Wanted, sentences: list[Sentence]) -> list[Sentence]:
    """The best sentences for each target, those that tell of disagreement last."""
    found: list[Sentence] = []
    for target in wanted.targets():
        found += _best(target, sentences)
    return sorted(dict.fromkeys(found), key=lambda each: each.disputed)


def _best(wanted: Wanted, sentences: list[Sentence]) -> list[Sentence]:
    """What is about the latest year counts for more, and comes first among equals."""
    scored = [(score, each) for each in sentences if (score := _score(wanted, each)) > 0]
    best = max((score for score, _ in scored), default=0.0)
    latest = max((each.latest for _, each in scored), default=0)
    scored = [(score + (each.latest == latest), each) for score, each in scored]
    scored.sort(key=lambda pair: (pair[0], pair[1].latest), reverse=True)
    plain = [each for score, each in scored if not each.disputed and score >= best - WITHIN_BEST]
    disputed = [each for score, each in scored if each.disputed and score >= best - WITHIN_BEST_DISPUTED]
    return plain[:MOST_SENTENCES] + disputed[:MOST_DISPUTED]


def _score(wanted: Wanted, sentence: Sentence) -> float:
    """0 for a sentence about something else; else how well it fits."""
    if not _is_of_place_and_year(wanted, sentence) or not _is_of_entity(wanted, sentence):
        return 0
    topics = wanted.reading.topics
    in_text = sum(says(vocabulary.TOPICS[topic], sentence.text) for topic in topics)
    of_title = set(spotted(vocabulary.TOPICS, sentence.title))
    shared = wanted.words & _stems(sentence.text)
    if topics and not in_text and not of_title & set(topics):
        return 0
    if not topics and not wanted.entities and len(shared) < max(2, ENOUGH_WORDS * len(wanted.words)):
        return 0
    fits = 2 * in_text + len(shared) + len(shared & wanted.own_words)
    fits_by_title = TITLE_WEIGHT * len((wanted.words & _stems(sentence.title)) - shared)
    is_off_topic = bool(topics and of_title) and not of_title & set(topics)
    return fits + fits_by_title - 2 * is_off_topic + _bonus(wanted, sentence)


def _bonus(wanted: Wanted, sentence: Sentence) -> int:
    """For key figures, numbers, the company's own page, and what the question is after: change or agreement."""
    intents = wanted.reading.intents
    tells_change = "growth" in intents and bool(_CHANGE.search(sentence.text))
    tells_dispute = "agreement" in intents and sentence.disputed
    is_of_company = bool(wanted.entities) and _is_about(wanted.entities, sentence.title)
    has_number = bool(_NUMBER.search(sentence.text))
    return sentence.key + has_number + tells_change + 2 * tells_dispute + 2 * is_of_company


def _is_of_place_and_year(wanted: Wanted, sentence: Sentence) -> bool:
    here = any(speaks_for(each, place) for place in wanted.places for each in sentence.places)
    return (here or not wanted.places) and (not wanted.years or bool(wanted.years & sentence.years))


def _is_of_entity(wanted: Wanted, sentence: Sentence) -> bool:
    """In the title or the text. What disputes another matter of the same company is left out."""
    if not wanted.entities:
        return True
    is_beside = sentence.disputed and wanted.own_words and not wanted.own_words & _stems(sentence.text)
    return not is_beside and _is_about(wanted.entities, f"{sentence.text} {sentence.title}")


def _is_about(entities: tuple[str, ...], text: str) -> bool:
    low = text.lower()
    return any(
        name in low for entity in entities for name in (entity.lower(), *vocabulary.ALIASES.get(entity.lower(), ()))
    )


def _stems(text: str) -> frozenset[str]:
    return frozenset(stemmed(word) for word in content_words(text))
