"""Agents that call tools for ever: one call after another in new words, everything at once, or page after page."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agents.base import AgentResult
from app.stand_in.faults.conduct import conducted, every_task_at_once, number_of, one_more_question
from app.stand_in.faults.wordings import wording
from app.stand_in.packets import SpecialistPacket, packet_of
from app.stand_in.policy.agent import fields, series
from app.stand_in.policy.arguments import SIZE, SQL, Seen, fill
from app.stand_in.policy.facts import Asked
from app.stand_in.results import Result
from app.stand_in.roles import reply_to, role_of, structured, tools_of
from app.stand_in.tables.schema import columns_of
from app.stand_in.turns import answer_of
from app.stand_in.wire import Call, ChatRequest, FunctionSpec, Reply
from app.stand_in.words import stems

TURNS_OF_A_TASK = 100
FIRST_ROWS = 350
MOST_TABLES = 2
PAGE_ROWS = 80
FEW_ROWS = 10
THOUGHTS = 100  # sentences, some 2,500 tokens
TURNS_OF_A_MEMBER = 3


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
    calls = list(_widest(tools_of(request), _results(request), request))
    return Reply(calls=calls) if calls else Reply(text=wording(_turns(request)))


def curious(request: ChatRequest) -> Reply:
    """Agents that can query tables read one page of them after another, always new; others work honestly."""
    return (role_of(request) == "agent" and _next_page(request, _turns(request))) or reply_to(request)


def verbose(request: ChatRequest) -> Reply:
    """The same with few rows, and each turn begins with long thoughts, as models of reasoning write them out."""
    if role_of(request) != "agent" or not (page := _next_page(request, _turns(request), FEW_ROWS)):
        return reply_to(request)
    return replace(page, text=_thoughts(_turns(request)))


def crowd(request: ChatRequest) -> Reply:
    """One plan of many tasks that need nothing of each other. Each thinks aloud and reads pages that no other reads."""
    if role_of(request) == "supervisor":
        return conducted(request, decide=every_task_at_once)
    if role_of(request) != "agent":
        return reply_to(request)
    packet, turn = packet_of(request, SpecialistPacket), _turns(request)
    number = (number_of(packet) - 1) * TURNS_OF_A_MEMBER + turn
    if turn < TURNS_OF_A_MEMBER and (page := _next_page(request, number, FEW_ROWS)):
        return replace(page, text=_thoughts(number))
    return structured(request, AgentResult(findings=[], gaps=[f"{packet.task.id} found nothing unusual."]))


def _thoughts(number: int) -> str:
    return " ".join(wording(number * THOUGHTS + each) for each in range(THOUGHTS))


def _next_page(request: ChatRequest, number: int, rows: int = PAGE_ROWS) -> Reply | None:
    """A description of the tables, then rows of the first that no earlier page had; None for agents without SQL."""
    tools = tools_of(request)
    if not (queries := [tool for tool in tools if SQL.search(str(tool.parameters))]):
        return None
    if not (table := next(iter(_queried(request) or _tables(request)), "")):
        overviews = [Call(tool.name, {}) for tool in tools if not tool.parameters.get("properties")]
        return Reply(calls=overviews) if overviews else None
    statement = f"SELECT * FROM {table} LIMIT {rows} OFFSET {number * rows}"  # noqa: S608
    [arguments, *_] = fill(queries[0].parameters, Asked.of(statement), Seen({}, sql=statement))
    return Reply(calls=[Call(queries[0].name, {**arguments, **_most(queries[0])})])


def _tables(request: ChatRequest) -> Sequence[str]:
    """The tables that were queried or described before, in this order."""
    described = (column.table for column in columns_of(_results(request)))
    return [*dict.fromkeys([*_queried(request), *described])]


def _queried(request: ChatRequest) -> list[str]:
    """Of these, the description may since have been left out."""
    calls = [each.function for message in request.messages for each in message.tool_calls or []]
    return [match for each in calls for match in re.findall(r"FROM (\w+) LIMIT", each.arguments)]


def _widest(tools: Sequence[FunctionSpec], results: Sequence[Result], request: ChatRequest) -> Iterator[Call]:
    """All rows of all tables, all that searches find, all that they named, and a computation on each table."""
    turn = _turns(request)
    asked = Asked.of(wording(turn))
    calls = [each.function for message in request.messages for each in message.tool_calls or []]
    made = {json.dumps([each.name, json.loads(each.arguments or "{}")]) for each in calls}
    tables = _tables(request)[:MOST_TABLES]
    statements = [f"SELECT * FROM {table} LIMIT {FIRST_ROWS + turn}" for table in tables]  # noqa: S608
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


def _results(request: ChatRequest) -> list[Result]:
    """What tools gave so far."""
    return [
        Result.of(Call("", {}), answer, "")
        for each in request.messages
        if each.role == "tool" and not (answer := answer_of(each.text)).failed
    ]


def _most(tool: FunctionSpec) -> dict[str, int]:
    """The highest limits that the tool allows."""
    properties = tool.parameters.get("properties", {})
    return {name: each["maximum"] for name, each in properties.items() if SIZE.search(name) and "maximum" in each}


def _turns(request: ChatRequest) -> int:
    """How often the agent spoke before."""
    return sum(message.role == "assistant" for message in request.messages)
