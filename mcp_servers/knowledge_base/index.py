"""An index of words whose parts are made per document, kept on disk, and put together in no time.

Ranking is BM25 in Lucene's form: S. Robertson and H. Zaragoza, "The probabilistic relevance framework: BM25 and beyond"
(2009), as compared by Kamphuis et al., "Which BM25 do you mean?" (ECIR 2020).
"""

import hashlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcp_servers.knowledge_base.passages import terms_of_word, words

K1 = 1.5
# Each passage includes its document's title, so BM25's usual 0.75 would favour sections with little else.
LENGTH_WEIGHT = 0.3

_TYPES = (np.uint64, np.uint32, np.uint32, np.uint32, np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """How often the terms occur in the passages of one document.

    `terms` are hashes; the n-th is followed by `spread[n]` entries of `passages` and `counts`.
    `lengths` of passages are in terms.
    """

    terms: NDArray[Any]
    spread: NDArray[Any]
    passages: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[Any]

    def packed(self) -> list[str]:
        """As JSON can hold it."""
        return [b64encode(each.tobytes()).decode() for each in astuple(self)]


def unpacked(packed: Iterable[str]) -> Part:
    """What `Part.packed` packed."""
    return Part(*(np.frombuffer(b64decode(each), kind) for each, kind in zip(packed, _TYPES, strict=True)))


def part_of(passages: Iterable[str]) -> Part:
    """Index the passages of a document."""
    entries: dict[int, list[tuple[int, int]]] = {}
    lengths = []
    for number, text in enumerate(passages):
        counts = Counter[int]()
        for word, count in Counter(words(text)).items():
            for term in _hashes_of_word(word):
                counts[term] += count
        lengths.append(counts.total())
        for term, count in counts.items():
            entries.setdefault(term, []).append((number, count))
    pairs = np.array([pair for each in entries.values() for pair in each], np.uint32).reshape(-1, 2)
    spread = [len(each) for each in entries.values()]
    columns = (list(entries), spread, pairs[:, 0], pairs[:, 1], lengths)
    return Part(*(np.array(each, kind) for each, kind in zip(columns, _TYPES, strict=True)))


class Index:
    """The parts of many documents as one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        sizes = np.array([len(part.lengths) for part in parts], np.int64)
        first = np.cumsum(sizes) - sizes  # passage of each document
        self._lengths = np.concatenate([part.lengths for part in parts])
        self._passages = np.concatenate([part.passages + at for part, at in zip(parts, first, strict=True)])
        self._counts = np.concatenate([part.counts for part in parts])
        terms_ = np.concatenate([part.terms for part in parts])
        spread = np.concatenate([part.spread for part in parts]).astype(np.int64)
        order = np.argsort(terms_, kind="stable")
        self._terms, self._ends = terms_[order], np.cumsum(spread)[order]
        self._begins = self._ends - spread[order]
        self._norm = K1 * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * self._lengths / max(self._lengths.mean(), 1))

    def scores(self, asked: Iterable[str]) -> NDArray[np.float64]:
        """BM25 of each passage."""
        scores = np.zeros(len(self._lengths))
        for term, weight in Counter(asked).items():
            counts = self._counts_of(_hash(term))
            found = np.count_nonzero(counts)
            rarity = np.log1p((len(counts) - found + 0.5) / (found + 0.5))
            scores += weight * rarity * counts / (counts + self._norm)
        return scores

    def _counts_of(self, term: int) -> NDArray[Any]:
        wanted = np.uint64(term)
        low, high = np.searchsorted(self._terms, wanted), np.searchsorted(self._terms, wanted, side="right")
        spans = [slice(*span) for span in zip(self._begins[low:high], self._ends[low:high], strict=True)]
        passages = np.concatenate([[], *(self._passages[each] for each in spans)]).astype(np.int64)
        counts = np.concatenate([[], *(self._counts[each] for each in spans)])
        return np.bincount(passages, counts, minlength=len(self._lengths))


def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=200_000)
def _hashes_of_word(word: str) -> tuple[int, ...]:
    return tuple(map(_hash, terms_of_word(word)))
