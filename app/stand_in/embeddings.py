"""Vectors from words and letter groups: similar wording gives near vectors, with no model and no download.

Each stem and each group of four letters is hashed to one of the dimensions with a sign; stems weigh more.
"""

import base64
import math
import re
import struct
import zlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.stand_in.wire import CHARACTERS_PER_TOKEN, BadRequestError
from app.stand_in.words import FILLER, stemmed

Json = dict[str, Any]

DIMENSIONS = 256
STEM_WEIGHT = 1.0
LETTERS_WEIGHT = 0.35
LETTERS = 4
MOST_INPUTS = 2048

_WORD = re.compile(r"[^\W_]+")


class EmbeddingRequest(BaseModel):
    """Texts, or lists of token numbers, as OpenAI takes them."""

    model_config = ConfigDict(extra="ignore")

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: str = "float"
    dimensions: int = Field(default=DIMENSIONS, ge=8, le=2048)

    def texts(self) -> list[str]:
        """One text per vector; a token number stands for itself as a word."""
        if isinstance(self.input, str):
            return [self.input]
        if self.input and isinstance(self.input[0], int):
            return [" ".join(map(str, self.input))]
        return [each if isinstance(each, str) else " ".join(map(str, _items(each))) for each in self.input]


def embeddings(body: bytes) -> Json:
    """The answer to an embeddings request. Raises BadRequestError."""
    try:
        request = EmbeddingRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadRequestError(f"{first['loc'][0] if first['loc'] else 'body'}: {first['msg']}") from error
    texts = request.texts()
    if not 0 < len(texts) <= MOST_INPUTS:
        raise BadRequestError(f"input: give 1 to {MOST_INPUTS} texts, got {len(texts)}")
    encode = _base64 if request.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector(text, request.dimensions))}
        for index, text in enumerate(texts)
    ]
    tokens = sum(math.ceil(len(text) / CHARACTERS_PER_TOKEN) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": request.model, "data": data, "usage": usage}


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector of length 1. A text without words gets the first axis."""
    sums = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        if word in FILLER:
            continue
        stem = stemmed(word)
        _add(sums, stem, STEM_WEIGHT)
        for start in range(len(stem) - LETTERS + 1):
            _add(sums, f"#{stem[start : start + LETTERS]}", LETTERS_WEIGHT)
    length = math.sqrt(sum(each * each for each in sums))
    if length == 0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [each / length for each in sums]


def _add(sums: list[float], feature: str, weight: float) -> None:
    code = zlib.crc32(feature.encode())
    sums[(code >> 1) % len(sums)] += weight if code & 1 else -weight


def _base64(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _items(tokens: object) -> list[Any]:
    return tokens if isinstance(tokens, list) else [tokens]
