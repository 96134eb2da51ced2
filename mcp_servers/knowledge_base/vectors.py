"""Vectors from an embeddings endpoint, computed once and cached in memory and on disk."""

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from openai import APIStatusError, APITimeoutError, AsyncOpenAI, OpenAIError

from mcp_servers.knowledge_base.embeddings import Embeddings, EmbeddingsUnavailable
from safe_http.shown import shown

Vector = NDArray[np.float32]

logger = logging.getLogger(__name__)

TIMEOUT_S = 20.0
BATCH = 64
TICKET = "x-tollgate-ticket"  # header with what pays for a query; without it the server pays by itself
PAYMENT_REQUIRED = 402

# Endpoints may serve different vectors under one model name: the vector of this text tells them apart.
PROBE = "How many orders came in?"
SAME = 0.999


class Vectors:
    """Unit vectors. Those of passages are computed on this server's own account, those of queries on a ticket's."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._url = embeddings.url
        self._key = embeddings.key
        self._model = embeddings.model
        self._file = embeddings.cache_folder / f"embeddings-{_digest(embeddings.model)}.npz"
        self._known: dict[str, Vector] = {}
        self._checked = False
        self._lock = anyio.Lock()

    async def of_query(self, text: str, ticket: str) -> Vector:
        """The vector of one text, not cached. Raises `EmbeddingsUnavailable`."""
        return (await self._compute([text], {TICKET: ticket}))[0]

    async def of_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row per text. Raises `EmbeddingsUnavailable`."""
        async with self._lock:
            try:
                await self._learn(list(dict.fromkeys(texts)))
            except EmbeddingsUnavailable:
                self._checked = False
                raise
            return np.stack([self._known[_digest(text)] for text in texts])

    async def _learn(self, texts: list[str]) -> None:
        if not self._checked:
            await self._check()
        missing = [text for text in texts if _digest(text) not in self._known]
        try:
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                self._known |= zip(map(_digest, batch), await self._compute(batch), strict=True)
        finally:  # what was paid for is kept
            if missing:
                await run_sync(self._save)

    async def _check(self) -> None:
        """Keep cached vectors only if the endpoint still returns the same vector for the probe."""
        probe = (await self._compute([PROBE]))[0]
        earlier = self._known or await run_sync(self._saved)
        old = earlier.get(_digest(PROBE))
        same = old is not None and old.shape == probe.shape and float(old @ probe) >= SAME
        self._known = {**(earlier if same else {}), _digest(PROBE): probe}
        self._checked = True

    async def _compute(self, texts: Sequence[str], headers: dict[str, str] | None = None) -> list[Vector]:
        try:
            async with self._client() as client:
                answer = await client.embeddings.create(
                    model=self._model, input=list(texts), encoding_format="float", extra_headers=headers
                )
            return _unit_vectors(answer.data, len(texts))
        except OpenAIError as error:
            raise EmbeddingsUnavailable(self._logged(error)) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise EmbeddingsUnavailable("the endpoint's response is not a list of embeddings") from error

    def _logged(self, error: OpenAIError) -> str:
        """The kind of error. Its text is only logged, because it may contain keys and addresses."""
        logger.warning("%s: %s", shown(self._url), _one_line(error))
        if isinstance(error, APIStatusError) and error.status_code == PAYMENT_REQUIRED:
            return "there is no money for embeddings"
        if isinstance(error, APIStatusError):
            return f"the embeddings endpoint answered with status {error.status_code}"
        if isinstance(error, APITimeoutError):
            return "the embeddings endpoint did not answer in time"
        return "the embeddings endpoint cannot be reached"

    def _client(self) -> AsyncOpenAI:
        # No retries: the caller's gateway retries the whole tool call once.
        options: dict[str, Any] = {"base_url": self._url, "max_retries": 0, "timeout": TIMEOUT_S}
        if self._key:
            return AsyncOpenAI(api_key=self._key, **options)
        try:
            return AsyncOpenAI(**options)
        except OpenAIError:  # no key in the environment: local servers need none
            return AsyncOpenAI(api_key="none", **options)

    def _saved(self) -> dict[str, Vector]:
        try:
            with self._file.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}  # none yet, or truncated by a crash: computed again

    def _save(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".npz")
            with os.fdopen(handle, "wb") as out:
                np.savez(out, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))
            Path(name).replace(self._file)
        except OSError as error:  # without a cache, the next start pays again
            logger.warning("vectors are kept in memory only: %s", error)


def _unit_vectors(items: Sequence[Any], expected: int) -> list[Vector]:
    ordered = sorted(items, key=lambda item: item.index)
    if len(ordered) != expected:
        raise ValueError(f"{len(ordered)} vectors for {expected} texts")
    vectors = np.asarray([item.embedding for item in ordered], dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return list(vectors / np.maximum(lengths, 1e-12))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
