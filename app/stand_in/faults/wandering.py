"""Agents that call tools for ever: one call after another in new words, or everything at once, again and again."""

import json
import re
from collections.abc import Iterator, Sequence

from app.stand_in.faults.conduct import conducted, number_of, one_more_question
from app.stand_in.faults.wordings import wording
from app.stand_in.packets import SpecialistPacket, packet_of
from app.stand_in.policy.agent import fields, series
from app.stand_in.policy.arguments import SIZE, SQL, Seen, fill
from app.stand_in.policy.facts import Asked
from app.stand_in.results import Result
from app.stand_in.roles import reply_to, role_of, tools_of
from app.stand_in.tables.schema import columns_of
from app.stand_in.turns import answer_of
from app.stand_in.wire import Call, ChatRequest, FunctionSpec, Reply
from app.stand_in.words import stems

TURNS_OF_A_TASK = 100
FIRST_ROWS = 350
MOST_TABLES = 2


def busy(request: ChatRequest) -> Reply:
    """One call per turn, of each tool in turn. The supervisor goes on as in an endless clarification."""
    if role_of(request) != "agent":
        return conducted(request, decide=one_more_question)
    turn = number_of(packet_of(request, SpecialistPacket)) * TURNS_OF_A_TASK + _turns(request)
    words = wording(turn)
    asked, seen = Asked.of(words), Seen({}, sql=f"SELECT '{words.replace(chr(39), chr(39) * 2)}' AS question")
    calls = [Call(tool.name, each) for tool in tools_of(request) for each in fill(tool.parameters, asked, seen)]
    new = [call for call in calls if stems(words) & stems(str(call.arguments))]
    return Reply(calls=[new[turn % len(new)]]) if new else Reply(text=words)


def hoarder(request: ChatRequest) -> Reply:
    """Everything that every tool gives, at once, at every turn. The supervisor plans honestly."""
    if role_of(request) != "agent":
        return reply_to(request)
    results = [
        Result.of(Call("", {}), answer, "")
        for each in request.messages
        if each.role == "tool" and not (answer := answer_of(each.text)).failed
    ]
    calls = list(_widest(tools_of(request), results, request))
    return Reply(calls=calls) if calls else Reply(text=wording(_turns(request)))


def _widest(tools: Sequence[FunctionSpec], results: Sequence[Result], request: ChatRequest) -> Iterator[Call]:
    """All rows of all tables, all that searches find, all that they named, and a computation on each table."""
    turn = _turns(request)
    asked = Asked.of(wording(turn))
    calls = [each.function for message in request.messages for each in message.tool_calls or []]
    made = {json.dumps([each.name, json.loads(each.arguments or "{}")]) for each in calls}
    known = [match for each in calls for match in re.findall(r"FROM (\w+) LIMIT", each.arguments)]  # if since left out
    described = dict.fromkeys([*known, *(column.table for column in columns_of(results))])
    statements = [f"SELECT * FROM {table} LIMIT {FIRST_ROWS + turn}" for table in [*described][:MOST_TABLES]]  # noqa: S608
    given = series(asked, results, packet_of(request, SpecialistPacket).evidence)
    for tool in tools:
        ways = (
            [Seen({}, sql=each) for each in statements]
            if SQL.search(str(tool.parameters))
            else [Seen(fields(asked, results), given)]
        )
        for seen in ways:
            for arguments in fill(tool.parameters, asked, seen):
                call = Call(tool.name, {**arguments, **_most(tool)})
                if json.dumps([call.name, call.arguments]) not in made:
                    yield call


def _most(tool: FunctionSpec) -> dict[str, int]:
    """The highest limits that the tool allows."""
    properties = tool.parameters.get("properties", {})
    return {name: each["maximum"] for name, each in properties.items() if SIZE.search(name) and "maximum" in each}


def _turns(request: ChatRequest) -> int:
    """How often the agent spoke before."""
    return sum(message.role == "assistant" for message in request.messages)
