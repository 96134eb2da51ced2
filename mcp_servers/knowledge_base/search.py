"""Ranks passages by words (BM25), by meaning (embeddings), or by both fused."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from mcp_servers.knowledge_base.embeddings import Embeddings, EmbeddingsUnavailable
from mcp_servers.knowledge_base.index import Index, Part
from mcp_servers.knowledge_base.passages import Passage, terms

if TYPE_CHECKING:
    from mcp_servers.knowledge_base.vectors import Vectors

Hit = tuple[Passage, float]

# Constant and formula of Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and
# individual rank learning methods", SIGIR 2009.
FUSION_K = 60
FUSED_DEPTH = 50


class Searcher:
    """Searches fixed passages. `parts` index each document; both indexes are built on first use."""

    def __init__(self, passages: Sequence[Passage], parts: Sequence[Part], embeddings: Embeddings | str) -> None:
        """`embeddings`: or why there are none."""
        self._passages = passages
        self._parts = parts
        self._embeddings = embeddings
        self._building = anyio.Lock()

    async def by_words(self, query: str, limit: int) -> list[Hit]:
        """Passages that share a word with the query, best first, with BM25 scores."""
        async with self._building:
            return await run_sync(self._by_words, query, limit)

    async def by_meaning(self, query: str, limit: int, ticket: str = "") -> list[Hit]:
        """Passages nearest to the query, with cosine similarity; the ticket pays. Raises `EmbeddingsUnavailable`."""
        vectors = await self._vectors.of_passages([passage.searched for passage in self._passages])
        query_vector = await self._vectors.of_query(query, ticket)
        if query_vector.shape != vectors.shape[1:]:
            raise EmbeddingsUnavailable("the endpoint changed the length of its vectors; restart this server")
        return self._best(vectors @ query_vector, limit)

    async def fused(self, query: str, limit: int, ticket: str = "") -> tuple[list[Hit], str | None]:
        """Both rankings fused; without embeddings, the ranking by words and the reason."""
        by_words = await self.by_words(query, FUSED_DEPTH)
        try:
            by_meaning = await self.by_meaning(query, FUSED_DEPTH, ticket)
        except EmbeddingsUnavailable as reason:
            return by_words[:limit], str(reason)
        return fuse([by_words, by_meaning])[:limit], None

    def _by_words(self, query: str, limit: int) -> list[Hit]:
        asked = terms(query)
        if not asked or not self._passages:
            return []
        return [hit for hit in self._best(self._index.scores(asked), limit) if hit[1] > 0]

    @cached_property
    def _index(self) -> Index:
        return Index(self._parts)

    @cached_property
    def _vectors(self) -> "Vectors":
        if isinstance(self._embeddings, str):
            raise EmbeddingsUnavailable(self._embeddings)
        from mcp_servers.knowledge_base.vectors import Vectors  # noqa: PLC0415

        return Vectors(self._embeddings)

    def _best(self, scores: NDArray[np.floating], limit: int) -> list[Hit]:
        ranked = np.argsort(-scores, kind="stable")[:limit]
        return [(self._passages[index], float(scores[index])) for index in ranked]


def fuse(rankings: Iterable[Sequence[Hit]]) -> list[Hit]:
    """Reciprocal rank fusion: each ranking gives its passage at rank r (from 1) the score 1 / (60 + r)."""
    scores: dict[int, float] = {}
    passages: dict[int, Passage] = {}
    for ranking in rankings:
        for rank, (passage, _) in enumerate(ranking, start=1):
            passages[id(passage)] = passage
            scores[id(passage)] = scores.get(id(passage), 0.0) + 1 / (FUSION_K + rank)
    best = sorted(scores, key=lambda key: -scores[key])
    return [(passages[key], scores[key]) for key in best]
