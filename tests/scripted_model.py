"""An OpenAI-compatible server whose answers a test writes: for models that err, lie and never agree.

The client, the wire and the sockets are real; only the other side's mind is scripted.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.http_server import served

Json = dict[str, Any]
Answer = Json | str | Response

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@dataclass
class Script:
    """What the model answers, by what it is asked for, and what it was asked.

    Each function gets the JSON packet of the last user message and the messages of the request; `usage` gets the
    request.
    """

    decision: Callable[[Json, list[Json]], Answer]
    work: Callable[[Json, list[Json]], Answer]
    draft: Callable[[Json, list[Json]], Answer]
    requests: list[Json] = field(default_factory=list)
    usage: Callable[[Json], Json] = lambda _: USAGE

    def answer(self, request: Json) -> Answer:
        self.requests.append(request)
        messages = request["messages"]
        packet = json.loads(next(each["content"] for each in messages if each["role"] == "user"))
        schema = request.get("response_format", {}).get("json_schema", {}).get("name")
        by_schema = {"SupervisorDecision": self.decision, "ReportDraft": self.draft}
        return by_schema.get(schema, self.work)(packet, messages)

    def asked(self, schema: str) -> list[Json]:
        """The requests for this structured answer."""
        formats = [(each, each.get("response_format", {}).get("json_schema", {})) for each in self.requests]
        return [request for request, wanted in formats if wanted.get("name") == schema]


def call(name: str, /, **arguments: Any) -> Json:
    """An answer that calls one tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": f"call_{name}", "type": "function", "function": function}]}


def result(*findings: Json, gaps: tuple[str, ...] = ()) -> Json:
    """The answer that ends a task."""
    return call("AgentResult", findings=list(findings), gaps=list(gaps))


def finding(claim: str, *evidence: str) -> Json:
    """A finding without a value of its own."""
    return {
        "claim": claim,
        "value": None,
        "unit": "",
        "period": "",
        "evidence": list(evidence),
        "confidence": "high",
    }


def assign(*tasks: Json) -> Json:
    """A decision that hands out tasks."""
    return {"action": "assign", "reason": "scripted", "tasks": list(tasks)}


def task(number: int, agent: str, *depends_on: str) -> Json:
    """A task of a plan."""
    return {"id": f"T{number}", "agent": agent, "objective": "find it out", "depends_on": list(depends_on)}


def has_looked(messages: list[Json]) -> bool:
    """Whether the last message is what a tool said, and not what the agent was briefed with."""
    return messages[-1]["role"] == "tool" and "# Tables and columns" not in messages[-1]["content"]


REPORT: Json = {"action": "report", "reason": "scripted", "tasks": []}
REVENUE = call("sales__revenue_by", dimensions=["year"])


def revenue(packet: Json, messages: list[Json]) -> Json:
    """An honest sales agent: calls the tool and quotes a year from what it returned."""
    if not has_looked(messages):
        return REVENUE
    evidence_id, *lines = messages[-1]["content"].splitlines()
    amount = next(line.split(",")[1] for line in lines if line.startswith("2024,"))
    return result(finding(f"Revenue in 2024 was EUR {float(amount):,.2f}.", evidence_id))


def gap_after_looking(packet: Json, messages: list[Json]) -> Json:
    """An honest sales agent that does not find what was asked for."""
    return result(gaps=("No chargers in Italy.",)) if has_looked(messages) else REVENUE


def quoting(packet: Json, _: list[Json]) -> Json:
    """An honest writer: each finding is a sentence with its citation."""
    sentences = [f"{each['claim'].rstrip('.')} [{', '.join(each['evidence'])}]." for each in packet["findings"]]
    return {"title": "Revenue", "body": "\n\n".join(sentences)}


@contextlib.contextmanager
def serving(script: Script) -> Iterator[str]:
    """The base URL of a server that answers by the script."""

    async def completions(request: Request) -> Response:
        body = await request.json()
        answer = script.answer(body)
        return (
            answer
            if isinstance(answer, Response)
            else JSONResponse(completion(body["model"], answer, script.usage(body)))
        )

    app = Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])
    with served(app) as address:
        yield f"{address}/v1"


def completion(model: str, answer: Json | str, usage: Json = USAGE) -> Json:
    """What a server answers with this message, text, or object as its text."""
    if isinstance(answer, str):
        message: Json = {"role": "assistant", "content": answer}
    elif "tool_calls" in answer:
        message = {"role": "assistant", "content": None, **answer}
    else:
        message = {"role": "assistant", "content": json.dumps(answer)}
    finish = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
