"""What a provider would charge for: tokens read, tokens of them known from before, tokens written."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from app.stand_in.completion import Usage, tokens_in
from app.stand_in.wire import CHARACTERS_PER_TOKEN, Json

BLOCK_TOKENS = 128
FEWEST_CACHED_TOKENS = 1024
MOST_BLOCKS = 100_000
MOST_BILLS = 100_000


class PromptCache:
    """Beginnings of prompts that were read before, as OpenAI caches them for its models before GPT-5.6.

    A prompt of at least 1024 tokens hits as far as it begins like an earlier one of the same model, in steps of 128
    tokens (https://platform.openai.com/docs/guides/prompt-caching). Here a beginning is forgotten only when there
    are too many, never after a time, so that the same requests always cost the same.
    """

    def __init__(self, most_blocks: int = MOST_BLOCKS) -> None:
        self._most_blocks = most_blocks
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def read(self, model: str, prompt: str) -> int:
        """How many tokens of the prompt were known; the prompt is known from now on."""
        beginnings = list(_beginnings(model, prompt))
        known = next((index for index, each in enumerate(beginnings) if each not in self._known), len(beginnings))
        for each in reversed(beginnings):  # the longest is forgotten first: without the short ones it is of no use
            self._known[each] = None
            self._known.move_to_end(each)
        while len(self._known) > self._most_blocks:
            self._known.popitem(last=False)
        return FEWEST_CACHED_TOKENS + (known - 1) * BLOCK_TOKENS if known else 0

    def usage(self, model: str, prompt: str, answer_tokens: int) -> Usage:
        """The tokens of one exchange."""
        return Usage(tokens_in(len(prompt)), self.read(model, prompt), answer_tokens)


@dataclass
class Bill:
    """What one request costs."""

    model: str
    usage: Usage

    def body(self) -> Json:
        return {
            "model": self.model,
            "input_tokens": self.usage.prompt,
            "cached_tokens": self.usage.cached,
            "output_tokens": self.usage.completion,
        }


class Invoice:
    """Every request for a completion, billed, or failed and free, and each one for embeddings. The last 100,000 of both
    are kept one by one."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.embedded: deque[Json] = deque(maxlen=MOST_BILLS)
        self._bills: deque[Bill] = deque(maxlen=MOST_BILLS)

    def bill(self, model: str, usage: Usage) -> Bill:
        """Its usage may be put right until the answer is out."""
        self._bills.append(Bill(model, usage))
        return self._bills[-1]

    def body(self) -> Json:
        """The document behind `GET /invoice`."""
        return {
            "calls": self.calls,
            "failed": self.failed,
            "billed": [each.body() for each in self._bills],
            "embedded": list(self.embedded),
        }


def _beginnings(model: str, prompt: str) -> Iterator[bytes]:
    """A digest of each beginning that can be cached, from the shortest to the longest."""
    size = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
    digest = hashlib.blake2b(f"{model}\n".encode(errors="replace"), digest_size=16)
    for end in range(size, len(prompt) + 1, size):
        digest.update(prompt[end - size : end].encode(errors="replace"))
        if end >= FEWEST_CACHED_TOKENS * CHARACTERS_PER_TOKEN:
            yield digest.digest()
