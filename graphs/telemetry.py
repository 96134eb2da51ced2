"""Spans of a job, by OpenTelemetry's API, which does nothing until the app sets a tracer provider.

All names of attributes are here, because the conventions for generative AI and MCP are still in development:
https://github.com/open-telemetry/semantic-conventions-genai/tree/main/docs/gen-ai
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

OPERATION, WORKFLOW, AGENT = "gen_ai.operation.name", "gen_ai.workflow.name", "gen_ai.agent.name"
PLAN, INVOKE_AGENT = "plan", "invoke_agent"  # operations
JOB = "gen_ai.conversation.id"
PROVIDER, MODEL, MOST_TOKENS = "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.request.max_tokens"
TOKENS = {  # by their names in events
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
}
COST = "gen_ai.usage.cost"  # US dollars; the conventions have no name for it yet
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
TOOL, ARGUMENTS, RESULT = "gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
METHOD = "mcp.method.name"
ERROR = "error.type"
OWN = "tollgate."  # what no convention names

OPENAI = "openai"  # whose protocol all our providers speak
TRACEPARENT = "traceparent"

Value = str | bool | int | float
Recorder = Callable[[Any], Any]  # makes content fit to be recorded

_CONTENT = context.create_key("content")
_W3C = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer(__name__)


@contextlib.contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value],
    kind: SpanKind = SpanKind.INTERNAL,
    links: tuple[Link, ...] = (),
    harmless: tuple[type[BaseException], ...] = (),
) -> Iterator[Span]:
    """A span around the block. Spans, log lines and calls made in the block belong to it.

    An error that leaves the block is recorded by its type, unless it is one of `harmless`. Its text, which may quote
    anything, is recorded only if content is.
    """
    with _TRACER.start_as_current_span(
        name, kind=kind, attributes=attributes, links=links, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except harmless:
            raise
        except BaseException as error:
            record = _recorder()
            failed(type(error).__name__, str(record(str(error))) if record else None)
            raise


def failed(kind: str, description: str | None = None) -> None:
    """Mark the current span as failed in this way."""
    current = trace.get_current_span()
    current.set_attribute(ERROR, kind)
    current.set_status(Status(StatusCode.ERROR, description))


def note(**own: Value) -> None:
    """Add attributes of our own to the current span."""
    trace.get_current_span().set_attributes({OWN + name: value for name, value in own.items()})


@contextlib.contextmanager
def run_of_job(
    job_id: str, name: str, traceparent: str, record: Recorder | None, harmless: tuple[type[BaseException], ...]
) -> Iterator[Span]:
    """A span around one run of a job, in the job's trace.

    Args:
        job_id: the job.
        name: the name of the graph.
        traceparent: what `traceparent` returned when the job was submitted or first run; "" begins a trace.
        record: makes content (messages, tool calls) fit to be recorded; None: it is not recorded.
        harmless: errors that are none.
    """
    token = context.attach(context.set_value(_CONTENT, record, _continued(traceparent)))
    try:
        attributes = {OPERATION: "invoke_workflow", WORKFLOW: name, JOB: job_id}
        with span(f"invoke_workflow {name}", attributes, harmless=harmless) as current:
            yield current
    finally:
        context.detach(token)


@contextlib.contextmanager
def in_job(name: str, job_id: str, traceparent: str) -> Iterator[Span]:
    """A span in the job's trace around what a request does for it. This span and the request's are linked."""
    request = trace.get_current_span()
    of_request = request.get_span_context()
    token = context.attach(_continued(traceparent))
    try:
        with span(name, {JOB: job_id}, links=(Link(of_request),) if of_request.is_valid else ()) as current:
            request.add_link(current.get_span_context())
            yield current
    finally:
        context.detach(token)


@contextlib.contextmanager
def model_call(job_id: str, agent: str, model: str, tokens: int) -> Iterator[None]:
    """A span around one attempt of a model call that allows for so many tokens in the answer."""
    asked: dict[str, Value] = {OPERATION: "chat", PROVIDER: OPENAI, MODEL: model, MOST_TOKENS: tokens}
    with span(f"chat {model}", {**asked, AGENT: agent, JOB: job_id}, SpanKind.CLIENT):
        yield


def model_called(event: Mapping[str, Any]) -> None:
    """Note on the current span what its call cost, by its event. With an estimated cost, the tokens are unknown."""
    cost = {COST: event["cost_micro_usd"] / 1_000_000, OWN + "cost_estimated": event["estimated"]}
    tokens = {} if event["estimated"] else {name: event[each] for name, each in TOKENS.items()}
    trace.get_current_span().set_attributes({**cost, **tokens})


def exchanged(request: Mapping[str, Any], completion: Mapping[str, Any]) -> None:
    """Record a request and its completion, both in OpenAI's format, on the current span, if content is recorded."""
    if record := _recorder():
        asked = [_message(each) for each in request["messages"]]
        told = [
            {**_message(each["message"]), "finish_reason": each.get("finish_reason")} for each in completion["choices"]
        ]
        trace.get_current_span().set_attributes({INPUT: _written(record(asked)), OUTPUT: _written(record(told))})


@contextlib.contextmanager
def tool_call(server: str, tool: str, agent: str, arguments: Any) -> Iterator[Callable[[str, bool], None]]:
    """A span around one tool call, which is the MCP client's span, too. Yields what notes its result, and whether that
    came from the cache."""
    what = {OPERATION: "execute_tool", TOOL: tool, METHOD: "tools/call", AGENT: agent, OWN + "server": server}
    with span(f"execute_tool {tool}", what, SpanKind.CLIENT) as current:
        record = _recorder()
        if record:
            current.set_attribute(ARGUMENTS, _written(record(arguments)))

        def answered(result: str, cached: bool) -> None:
            note(cached=cached)
            if record:
                current.set_attribute(RESULT, _written(record(result)))

        yield answered


def carried() -> dict[str, str]:
    """The current span as W3C Trace Context, for the `_meta` of an MCP request; empty if there is none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


def traceparent() -> str:
    """The current span, with which others continue its trace; "" if there is none."""
    return carried().get(TRACEPARENT, "")


def trace_id() -> str:
    """The current trace in hexadecimal digits; "" if there is none."""
    current = trace.get_current_span().get_span_context()
    return trace.format_trace_id(current.trace_id) if current.is_valid else ""


def _continued(traceparent: str) -> Context:
    """The current context, but in that trace; in none, if it is "" or malformed."""
    return _W3C.extract({TRACEPARENT: traceparent}, trace.set_span_in_context(trace.INVALID_SPAN))


def _recorder() -> Recorder | None:
    if not trace.get_current_span().is_recording():
        return None
    record = context.get_value(_CONTENT)
    return record if callable(record) else None


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _message(message: Any) -> dict[str, Any]:
    """A message of OpenAI's as the conventions have it: a role, and parts. What a server made up is left out."""
    parts: list[dict[str, Any]] = []
    match message:
        case {"role": "tool", "content": response, "tool_call_id": call}:
            parts.append({"type": "tool_call_response", "id": call, "response": response})
        case {"content": content} if content:
            parts.append({"type": "text", "content": content})
    match message:
        case {"tool_calls": [*calls]}:
            parts += [part for each in calls if (part := _asked(each))]
    return {"role": message.get("role", "assistant"), "parts": parts}


def _asked(call: Any) -> dict[str, Any] | None:
    match call:
        case {"function": {"name": name, "arguments": arguments}}:
            return {"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments}
    return None
