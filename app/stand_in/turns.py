"""How rules call tools over several requests, although the server remembers nothing.

A role's rules are a generator: it yields a batch of calls and is sent their answers. Each request carries the
whole conversation, so the generator is run from its start, fed with the answers that are there, until it wants a
call that was not made yet or returns its result.
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass

from agents.base import AgentResult
from app.stand_in.wire import Call, ChatRequest

MOST_ATTEMPTS = 2
NOT_OFFERED = "is not offered"

_HEAD = re.compile(r"\s*(?:\[?(E\d+)\]?\s*\n?|error: )")
_DATA = re.compile(r"<data-([0-9a-f]{4})([0-9a-f]{4})( [^>\n]*)?>\n(.*)\n</data-\1\2>", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a tool returned: the id it is cited by ("" when it failed) and its text."""

    evidence: str
    text: str

    @property
    def failed(self) -> bool:
        return not self.evidence

    @property
    def was_offered(self) -> bool:
        """Whether there was such a tool at all."""
        return not self.text.endswith(NOT_OFFERED)

    @property
    def problem(self) -> str:
        """Why it failed, as one line without the name of the tool in front."""
        line = " ".join(self.text.split())
        return re.sub(r"^Error executing tool \w+: ", "", line)[:300].rstrip(". ")


@dataclass(frozen=True)
class Rows:
    """A table as text: every row as a dict by column, and the remarks under it."""

    columns: list[str]
    rows: list[dict[str, str]]
    notes: list[str]


Script = Generator[list[Call], list[Answer], AgentResult]


def turn_of(script: Script, request: ChatRequest) -> list[Call] | AgentResult:
    """The calls that are still missing, or the result."""
    made = _answers(request)
    offered = set(request.tool_names)
    try:
        wanted = next(script)
        while True:
            possible = {_key(call): call for call in wanted if call.name in offered}
            if missing := [call for key, call in possible.items() if key not in made]:
                return missing[:1] if request.parallel_tool_calls is False else missing
            wanted = script.send([made.get(_key(call)) or _not_offered(call) for call in wanted])
    except StopIteration as end:
        result: AgentResult = end.value
        return result


def rows_of(text: str) -> Rows:
    """Reads the CSV of a tool result; lines that begin with `#` are remarks."""
    lines = text.splitlines()
    body = [line for line in lines if line and not line.startswith("# ")]
    reader = csv.DictReader(io.StringIO("\n".join(body)))
    rows = [{str(key): str(value or "") for key, value in row.items() if key} for row in reader]
    notes = [line.removeprefix("# ") for line in lines[1:] if line.startswith("# ")]
    return Rows(list(reader.fieldnames or []), rows, notes)


def answer_of(text: str) -> Answer:
    """Reads a tool message: the evidence id, or `error:`, then the data, in the marks that it may stand between."""
    head = _HEAD.match(text)
    evidence, rest = ((head[1] or ""), text[head.end() :]) if head else ("", text)
    if not (data := _DATA.fullmatch(rest)):
        return Answer(evidence, rest)
    sign = f"{data[1]}| " if data[3] else ""
    return Answer(evidence, "\n".join(line.removeprefix(sign) for line in data[4].split("\n")))


def _answers(request: ChatRequest) -> dict[str, Answer]:
    """The answer to each call of the conversation. A call that never got one counts as failed after a while."""
    texts = {message.tool_call_id: message.text for message in request.messages if message.role == "tool"}
    made: dict[str, Answer] = {}
    attempts: dict[str, int] = defaultdict(int)
    for message in request.messages:
        for call in message.tool_calls or []:
            key = _key_of(call.function.name, call.function.arguments)
            attempts[key] += 1
            if call.id in texts:
                made[key] = answer_of(texts[call.id])
            elif attempts[key] >= MOST_ATTEMPTS:
                made.setdefault(key, Answer("", "the call was not answered"))
    return made


def _not_offered(call: Call) -> Answer:
    return Answer("", f"the tool {call.name} {NOT_OFFERED}")


def _key(call: Call) -> str:
    return _key_of(call.name, json.dumps(call.arguments))


def _key_of(name: str, arguments: str) -> str:
    try:
        canonical = json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        canonical = arguments
    return f"{name} {canonical}"
