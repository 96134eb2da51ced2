"""How large a model's next call can get, learned from earlier ones: the bound of its input, the limit of its answer.

Of a new request nothing is known but its bytes, of which a token has at least one. But most requests repeat an earlier
one and add something, and of that one the provider has said how many tokens it had. No token reaches from one item of a
prompt (a message, a tool) into the next, so an item has as many tokens wherever it stands. Hence:

    tokens(request) <= tokens(earlier request) + bytes(what the earlier one did not have)

It is kept in the process, per model. A process that continues another one's conversation learns from the answers in it:
each is marked with the request that it answers.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import openai
import orjson
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel

logger = logging.getLogger(__name__)

MARGIN = 256  # tokens of what frames a prompt, beside its items
SLACK = 32  # by which the frame of a longer prompt may differ
BEGINNINGS = 256  # that are remembered
SAME_BEGINNING = 16  # requests with the same one
DENSEST = 8  # bytes per token of a prompt; what is reported above that leaves something out, such as what was cached
FIRST_TURN = 2  # messages: prompt and task
ANSWERS = 32
SHORT = 2  # times the floor, which an answer may have in any case
ROOM_PERCENT = 150  # of the longest answer so far
KEY_BYTES = 8
MARK = "prompt"  # in the metadata of an answer

Json = dict[str, Any]


class Items(NamedTuple):
    """A request to a model of a server as its items: the bytes of each by its key, messages first, then tools, then
    the rest; how many are messages, and the bytes of them all."""

    model: str
    sizes: Mapping[int, int]
    messages: int
    total: int

    @property
    def first(self) -> int:
        return next(iter(self.sizes))

    def mark(self, tokens: int) -> Json:
        """What an answer to this request, of so many tokens, remembers of it."""
        keys = list(self.sizes)
        said, tools = _key(keys[: self.messages]), _key(keys[self.messages : -1])
        return {"model": self.model, "tokens": tokens, "messages": self.messages, "said": said, "tools": tools}

    def recalled(self, mark: Json) -> "Answered | None":
        """The marked request, if this one continues it."""
        keys = list(self.sizes)
        said, tools = keys[: min(mark["messages"], self.messages)], keys[self.messages : -1]
        if (self.model, _key(said)) != (mark["model"], mark["said"]):
            return None
        return Answered({*said, *(tools if _key(tools) == mark["tools"] else ())}, mark["tokens"])


class Answered(NamedTuple):
    """A request that was answered, and its tokens."""

    items: Collection[int]
    tokens: int


class Sizes:
    """What one model's calls have needed so far."""

    def __init__(self) -> None:
        self._answered: OrderedDict[int, deque[Answered]] = OrderedDict()
        self._longest: dict[str, deque[int]] = {}
        self._holds = True

    def bound(self, items: Items, messages: Sequence[BaseMessage] = ()) -> int:
        """The most tokens that this request can have, which asks about these messages."""
        least = items.total + MARGIN
        known_ones = list(self._answered.get(items.first, ()))
        last = next((each for each in reversed(messages) if isinstance(each, AIMessage)), None)
        mark = last.response_metadata.get(MARK) if last and self._holds else None
        if mark and (earlier := items.recalled(mark)):
            known_ones.append(earlier)
        for known in known_ones:
            new = sum(size for item, size in items.sizes.items() if item not in known.items)
            least = min(least, known.tokens + new + SLACK)
        return least

    def answer_limit(self, kind: str, floor: int, most: int) -> int:
        """Tokens to allow for an answer: half as much again as the longest one of this kind has needed lately.

        Reserving for the longest possible answer would make parallel calls wait for money that none of them needs. An
        answer that is cut here is asked for again with all that is allowed."""
        return min(most, max(SHORT * floor, ROOM_PERCENT * max(self._longest.get(kind, (0,))) // 100))

    def usual(self, kind: str, floor: int) -> int:
        """The longest answer of this kind lately, in tokens."""
        return max(floor, *self._longest.get(kind, (0,)))

    def longest(self) -> dict[str, int]:
        """The longest answer of each kind lately, in tokens."""
        return {kind: max(known) for kind, known in self._longest.items()}

    def expect(self, longest: Mapping[str, int]) -> None:
        """Go by what another process has seen (`longest`)."""
        self._longest = {kind: deque([tokens], maxlen=ANSWERS) for kind, tokens in longest.items()}

    def learn(self, items: Items, bound: int, kind: str, tokens: int, answer_tokens: int) -> Json | None:
        """Take in what the provider says that a request and its answer had. Returns a mark for the answer, if later
        requests can go by these tokens."""
        self._longest.setdefault(kind, deque(maxlen=ANSWERS)).append(answer_tokens)
        if tokens > bound and self._holds:
            logger.warning(
                "a request of at most %d tokens was billed as %d: its bytes count from now on", bound, tokens
            )
            self._holds = False
            self._answered.clear()
        if not self._holds or items.total > tokens * DENSEST:
            return None
        self._answered.setdefault(items.first, deque(maxlen=SAME_BEGINNING)).append(Answered(items.sizes, tokens))
        self._answered.move_to_end(items.first)
        if len(self._answered) > BEGINNINGS:
            self._answered.popitem(last=False)
        return items.mark(tokens)


def kind_of(agent: str, messages: Sequence[object]) -> str:
    """Answers of one kind are about as long: an agent's first ones mostly ask for a tool."""
    return f"{agent}, {'later' if len(messages) > FIRST_TURN else 'first'}"


def items_of(payload: Json, limit: str, most: int, server: str | None = None) -> Items:
    """The request as sent to this server, with this limit, item by item. What is no message and no tool is one item,
    which is part of the prompt where it is a schema. A schema given as a class is sized like a tool's, which differs by
    a few words."""
    given = payload.get("response_format")
    if isinstance(given, type) and issubclass(given, BaseModel):
        payload = {**payload, "response_format": openai.pydantic_function_tool(given)}
    rest = {key: value for key, value in payload.items() if key not in {"messages", "tools"}}
    sizes: dict[int, int] = {}
    for item in _dumped([*payload.get("messages", ()), *payload.get("tools", ()), rest]):
        key = _key(item)
        while key in sizes:  # the same words said twice are two items
            key += 1
        sizes[key] = len(item) + 1
    around = sum(len(key) + 5 for key in ("messages", "tools") if payload.get(key)) + len(f'"{limit}":{most},')
    return Items(
        f"{payload.get('model')} at {server}", sizes, len(payload.get("messages", ())), sum(sizes.values()) + around - 1
    )


def _key(item: bytes | Sequence[int]) -> int:
    """The same in every process."""
    content = item if isinstance(item, bytes) else b"".join(each.to_bytes(KEY_BYTES + 1) for each in item)
    return int.from_bytes(blake2b(content, digest_size=KEY_BYTES).digest())


def _dumped(items: Iterable[Any]) -> Iterable[bytes]:
    return (orjson.dumps(item, default=str, option=orjson.OPT_NON_STR_KEYS) for item in items)
