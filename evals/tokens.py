"""Where the tokens go: by part of the requests and by agent, read from the records of the jobs that were run.

A provider reports the tokens of a request, not of its parts. They are shared out by the parts' bytes, so that the parts
of each request add up to what was reported and billed for it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from redis.asyncio import Redis
from rich.table import Table

from app.recording.cassette import Cassette, Exchange
from app.recording.recorder import record_of
from app.store.redis import connect
from evals.scoreboard import QUALITIES, Answer, Results, mean
from graphs.nodes.answering import RESULT

Json = dict[str, Any]

SYSTEM, SCHEMAS, HANDOFFS = "system prompts", "schemas of tools and answers", "questions, packets and hand-offs"
RESULTS, TURNS, RETRIES, ANSWERS = "tool results", "calls and answers of earlier turns", "asked again", "answers"
PARTS = (SYSTEM, SCHEMAS, HANDOFFS, RESULTS, TURNS, RETRIES, ANSWERS)
REFUSED = "Your last answer was refused"  # as graphs/answers/asking.py begins
TRANSFER = "transfer_to_"  # begins the names of calls that hand work on
PAGE = 200
TEAM, SINGLE = "team", "single_agent"  # of the systems, those that are compared


@dataclass
class Spent:
    """The tokens of one job: by part, by agent, and of all requests that the provider answered."""

    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    agents: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    read: int = 0
    cached: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        """Tokens in and out."""
        return self.read + self.written

    def take(self, exchange: Exchange) -> None:
        """Take in an exchange. One without usage was not billed."""
        answer = exchange.line.get("response")
        usage = answer.get("usage") if isinstance(answer, dict) else None
        if not usage or not exchange.request:
            return
        read, written = usage["prompt_tokens"], usage["completion_tokens"]
        self.read, self.written = self.read + read, self.written + written
        self.cached += (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        self.agents[exchange.line["agent"]] += read + written
        if is_asked_again(exchange.request):
            self.parts[RETRIES] += read + written
            return
        sizes = sizes_of(exchange.request)
        for part, size in sizes.items():
            self.parts[part] += read * size / sizes.total()
        self.parts[ANSWERS] += written


Spendings = Mapping[str, Mapping[str, Spent]]  # by system and question


async def spendings(redis_url: str, results: Results) -> Spendings:
    """What each recorded job has spent."""
    client = connect(redis_url)
    try:
        return {
            name: {each.question: spent(Cassette(await _lines(client, each.job_id))) for each in answers}
            for name, answers in results.items()
        }
    finally:
        await client.aclose()


def spent(cassette: Cassette) -> Spent:
    """The tokens of a recorded job."""
    found = Spent()
    for exchanges in cassette.models.values():
        for each in exchanges:
            found.take(each)
    return found


def sizes_of(request: Json) -> Counter[str]:
    """The bytes of each part of a request."""
    sizes: Counter[str] = Counter()
    called = {
        call["id"]: call["function"]["name"] for each in request["messages"] for call in each.get("tool_calls") or ()
    }
    for message in request["messages"]:
        sizes[_part(message, called)] += _bytes(message)
    sizes[SCHEMAS] += sum(map(_bytes, request.get("tools") or ())) + _bytes(request.get("response_format"))
    return sizes


def is_asked_again(request: Json) -> bool:
    """Whether it repeats what was asked, because an answer or a finding was refused."""
    return any(
        each["role"] == "user" and (str(each["content"]).startswith(REFUSED) or _has_feedback(each["content"]))
        for each in request["messages"]
    )


def _has_feedback(content: Any) -> bool:
    try:
        return bool(json.loads(content)["feedback"])
    except (ValueError, TypeError, KeyError):
        return False


def _part(message: Json, called: Mapping[str, str]) -> str:
    if message["role"] == "tool":
        name = called.get(message["tool_call_id"], "")
        return HANDOFFS if name == RESULT or name.startswith(TRANSFER) else RESULTS
    return {"system": SYSTEM, "developer": SYSTEM, "assistant": TURNS}.get(message["role"], HANDOFFS)


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode()) if value else 0


async def _lines(client: Redis, job_id: str) -> list[Json]:
    lines: list[Json] = []
    place = "0"
    while page := await record_of(client, job_id, place, most=PAGE):
        lines += (line for _, line in page)
        place = page[-1][0]
    return lines


def tables(results: Results, spendings: Spendings) -> Iterator[Table]:
    """Tokens by part, by agent and by kind of question."""
    yield _shares("tokens per question, by part (shared out by bytes)", spendings, lambda each: each.parts, PARTS)
    agents = dict.fromkeys(agent for jobs in spendings.values() for each in jobs.values() for agent in each.agents)
    yield _shares("tokens per question, by agent", spendings, lambda each: each.agents, list(agents))
    yield _by_kind(results, spendings)


def _shares(
    title: str, spendings: Spendings, of: Callable[[Spent], Mapping[str, float]], names: Sequence[str]
) -> Table:
    drawn = Table(title=title)
    drawn.add_column("")
    for system in spendings:
        drawn.add_column(system, justify="right")
    for name in names:
        means = [fmean(of(each).get(name, 0) for each in jobs.values()) for jobs in spendings.values()]
        totals = [fmean(each.total for each in jobs.values()) for jobs in spendings.values()]
        cells = [f"{tokens:,.0f} ({tokens / total:4.0%})" for tokens, total in zip(means, totals, strict=True)]
        drawn.add_row(name, *cells, end_section=name == names[-1])
    drawn.add_row("all", *(f"{fmean(each.total for each in jobs.values()):,.0f}" for jobs in spendings.values()))
    return drawn


def _by_kind(results: Results, spendings: Spendings) -> Table:
    """Means per question of each kind, and each system's as a share of the last one's."""
    *others, last = spendings
    drawn = Table(title=f"per question: tokens in + out; {' / '.join(others)} as a share of {last}")
    for heading in ("questions", *spendings, "tokens", "USD", "largest question: tokens"):
        drawn.add_column(heading, justify="left" if heading == "questions" else "right")
    for kind in (*kinds(results), None):
        ids = [each.question for each in results[last] if kind in {None, each.kind}]
        tokens = {name: [jobs[each].total for each in ids] for name, jobs in spendings.items()}
        costs = {name: mean(_of_kind(answers, kind), "cost_micro_usd") or 0 for name, answers in results.items()}
        shown = [
            f"{fmean(jobs[each].read for each in ids):,.0f} + {fmean(jobs[each].written for each in ids):,.0f}"
            for jobs in spendings.values()
        ]
        largest = max(range(len(ids)), key=lambda at: tokens[last][at])
        drawn.add_row(
            kind or "all",
            *shown,
            " / ".join(f"{sum(tokens[each]) / sum(tokens[last]):.2f}" for each in others),
            " / ".join(f"{costs[each] / costs[last]:.2f}" for each in others),
            f"{ids[largest]}: " + " / ".join(f"{tokens[each][largest] / tokens[last][largest]:.2f}" for each in others),
        )
    return drawn


def kinds(results: Results) -> list[str]:
    """The kinds of the questions."""
    return list(dict.fromkeys(each.kind for answers in results.values() for each in answers))


def _of_kind(answers: Iterable[Answer], kind: str | None) -> list[Answer]:
    return [each for each in answers if kind in {None, each.kind}]


def enough(results: Results, spendings: Spendings) -> Iterator[str]:
    """Per kind of question, whether one agent is enough: it answers as well as the team, and costs no more."""
    for kind in kinds(results):
        team, single = (_of_kind(results[name], kind) for name in (TEAM, SINGLE))
        worse = [key for key in QUALITIES if (mean(single, key) or 0) < (mean(team, key) or 0) - 1e-9]
        tokens = [sum(spendings[name][each.question].total for each in team) for name in (SINGLE, TEAM)]
        cost, seconds = _share("cost_micro_usd", single, team), _share("seconds", single, team)
        verdict = "one agent is enough" if not worse and cost <= 1 else "take the team"
        quality = f"worse in {', '.join(worse)}" if worse else "as good"
        yield (
            f"{kind}: {verdict}. One agent is {quality}, at {cost:.2f} of the team's cost, "
            f"{tokens[0] / tokens[1]:.2f} of its tokens and {seconds:.2f} of its time (questions: {len(team)})"
        )


def _share(key: str, single: Iterable[Answer], team: Iterable[Answer]) -> float:
    return (mean(single, key) or 0) / (mean(team, key) or 1)
