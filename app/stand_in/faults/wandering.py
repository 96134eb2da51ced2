"""Agents that call tools for ever: in ever new words, or for ever more rows."""

from collections.abc import Callable, Iterator, Mapping

from app.stand_in.faults.conduct import conducted, number_of, one_more_question
from app.stand_in.faults.wordings import wording
from app.stand_in.packets import SpecialistPacket, packet_of
from app.stand_in.roles import reply_to, role_of
from app.stand_in.turns import answer_of, rows_of
from app.stand_in.wire import Call, ChatRequest, Json, Message, Reply
from sample.rules.analyst import FARTHEST
from sample.rules.analyst_sources import sources

TURNS_OF_A_TASK = 100
WIDEST_SEARCH = 20
FIRST_ROWS = 500
LONGEST_TITLE = 160
PASSAGES_END = ",excerpt\n"  # of the head of a table of passages
SEARCH, READ, QUERY = "knowledge_base__search", "knowledge_base__read_document", "sales__query"
CHART, FORECAST = "analytics__chart", "analytics__forecast"


def busy(request: ChatRequest) -> Reply:
    """One call per turn, of each kind of tool in turn. The supervisor goes on as in an endless clarification."""
    if role_of(request) != "agent":
        return conducted(request, decide=one_more_question)
    turn = number_of(packet_of(request, SpecialistPacket)) * TURNS_OF_A_TASK + _turns(request)
    offered = [name for name in _REWORDED if name in request.tool_names]
    if not offered:
        return Reply(text=wording(turn))
    name = offered[turn % len(offered)]
    return Reply(calls=[Call(name, _REWORDED[name](turn))])


def hoarder(request: ChatRequest) -> Reply:
    """Everything that every tool gives, at once, at every turn. The supervisor plans honestly."""
    if role_of(request) != "agent":
        return reply_to(request)
    calls = [call for call in _widest(request, _turns(request)) if call.name in request.tool_names]
    return Reply(calls=calls) if calls else Reply(text=wording(_turns(request)))


def _search(turn: int) -> Json:
    return {"query": wording(turn), "limit": 3 + turn % 6}


def _count(turn: int) -> Json:
    """Customers whose name is a sentence: there are none, whatever the sentence."""
    pattern = wording(turn).replace("'", "''")
    return {"sql": f"SELECT count(*) AS orders FROM sales WHERE customer ILIKE '%{pattern}%'"}  # noqa: S608


def _draw(turn: int) -> Json:
    points = [{"label": "one side", "value": 1}, {"label": "the other", "value": 2}]
    return {"series": {"points": points}, "kind": "bar", "title": wording(turn)[:LONGEST_TITLE]}


_REWORDED: Mapping[str, Callable[[int], Json]] = {SEARCH: _search, QUERY: _count, CHART: _draw}


def _widest(request: ChatRequest, turn: int) -> Iterator[Call]:
    """All rows in two orders, all passages, all documents that passages were from, and a forecast of each table."""
    for order in ("order_date", "revenue_eur"):
        yield Call(QUERY, {"sql": f"SELECT * FROM sales ORDER BY {order} LIMIT {FIRST_ROWS + turn}"})  # noqa: S608
    yield Call(SEARCH, {"query": wording(turn), "limit": WIDEST_SEARCH})
    yield from (Call(READ, {"id": each}) for each in _documents_seen(request.messages))
    for table in sources(packet_of(request, SpecialistPacket)):
        yield Call(FORECAST, {"series": table.series(), "horizon": 1 + turn % FARTHEST})


def _documents_seen(messages: list[Message]) -> list[str]:
    """Ids in the passages that searches gave so far."""
    passages = [answer_of(each.text).text for each in messages if each.role == "tool" and PASSAGES_END in each.text]
    ids = [row["id"] for text in passages for row in rows_of(text).rows if row.get("id")]
    return list(dict.fromkeys(ids))


def _turns(request: ChatRequest) -> int:
    """How often the agent spoke before."""
    return sum(message.role == "assistant" for message in request.messages)
