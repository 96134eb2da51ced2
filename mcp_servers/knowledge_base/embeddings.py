"""Declares where embeddings come from; apart from `vectors`, whose libraries are too slow to load at start."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_MODEL = "text-embedding-3-small"


class EmbeddingsUnavailable(Exception):
    """No usable vectors; the message says why."""


@dataclass(frozen=True)
class Embeddings:
    """A model at an OpenAI-compatible endpoint, and the folder in which vectors of passages are kept.

    `key` None: that in OPENAI_API_KEY, if any.
    """

    url: str
    model: str
    cache_folder: Path
    key: str | None = None
