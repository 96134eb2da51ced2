"""Ways in which OpenAI-compatible servers answer, and what has to come of each. Seen in bug reports of other projects.

A way changes an honest completion: the document, or the whole response. `READ` ones are read as what they mean;
`AGAIN` ones are told to the model and asked for again; `OUTAGE` ones are no completion, are retried, and cost nothing
unless they tell a usage.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

Json = dict[str, Any]
Role = Literal["supervisor", "agent", "report"]
Expected = Literal["read", "again", "outage"]


@dataclass(frozen=True)
class Way:
    """One way to answer. `roles` are those whose answers it can be applied to."""

    name: str
    expected: Expected
    answer: Callable[[Json], Json | Response]
    roles: tuple[Role, ...] = ("supervisor", "agent", "report")


def _message(document: Json) -> Json:
    return document["choices"][0]["message"]  # type: ignore[no-any-return]


def _with_message(change: Callable[[Json], None]) -> Callable[[Json], Json]:
    def answer(document: Json) -> Json:
        changed = copy.deepcopy(document)
        change(_message(changed))
        return changed

    return answer


def _text(rewrite: Callable[[str], Any]) -> Callable[[Json], Json]:
    """Rewrites the JSON of an answer, wherever it is: in the content, or in the arguments of each call."""

    def change(message: Json) -> None:
        if calls := message.get("tool_calls"):
            for call in calls:
                call["function"]["arguments"] = rewrite(call["function"]["arguments"])
        else:
            message["content"] = rewrite(message["content"])

    return _with_message(change)


def _calls(change: Callable[[Json], None]) -> Callable[[Json], Json]:
    def each(message: Json) -> None:
        for call in message.get("tool_calls") or []:
            change(call)

    return _with_message(each)


def _set(**fields: Any) -> Callable[[Json], Json]:
    return lambda document: {**copy.deepcopy(document), **fields}


def _choice(**fields: Any) -> Callable[[Json], Json]:
    def answer(document: Json) -> Json:
        changed = copy.deepcopy(document)
        changed["choices"][0].update(fields)
        return changed

    return answer


def _written(form: Callable[[str, str], str]) -> Callable[[Json], Json]:
    """The call as text: the name of the tool and its arguments."""

    def change(message: Json) -> None:
        if calls := message.pop("tool_calls", None):
            message["content"] = form(calls[0]["function"]["name"], calls[0]["function"]["arguments"])

    return _with_message(change)


def _body(body: str | bytes, kind: str = "application/json", status: int = 200) -> Callable[[Json], Response]:
    return lambda _: Response(body, status, media_type=kind)


def _cut_in_half(document: Json) -> Response:
    body = json.dumps(document)
    return Response(body[: len(body) // 2], media_type="application/json")


def _python(text: str) -> str:
    return repr(json.loads(text))


def _trailing(text: str) -> str:
    return text[:-1] + ",}"


def _unquoted(text: str) -> str:
    fields = json.loads(text)
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in fields.items()) + "}"


def _fenced(text: str) -> str:
    return f"```json\n{text}\n```"


def _wrapped(text: str) -> str:
    return json.dumps({"result": json.loads(text)})


def _more(text: str) -> str:
    return json.dumps({**json.loads(text), "thoughts": "I am sure.", "score": 7})


def _call(name: str, arguments: str, key: str = "arguments") -> str:
    return json.dumps({"name": name, key: json.loads(arguments)})


def _parts(text: str) -> list[Json]:
    half = len(text) // 2
    return [{"type": "text", "text": text[:half]}, {"type": "text", "text": text[half:]}]


def _odd(text: str) -> list[Any]:
    return [{"type": ["image"]}, {"type": {"is": "audio"}, "text": "Hm"}, *_parts(text), None]


def _unmeasured(call: Json) -> None:
    result = json.loads(call["function"]["arguments"])
    for each in result.get("findings", []):
        each["value"] = "NaN"
    call["function"]["arguments"] = json.dumps(result)


def _thinking(message: Json) -> list[Json]:
    return [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm {}"}]}, *_parts(message["content"])]


def _loaded(call: Json) -> None:
    call["function"]["arguments"] = json.loads(call["function"]["arguments"])


def _result_with_more(call: Json) -> None:
    if call["function"]["name"] == "AgentResult":
        call["function"]["arguments"] = _more(call["function"]["arguments"])


def _renamed(call: Json, rename: Callable[[str], str]) -> None:
    call["function"]["name"] = rename(call["function"]["name"])


def _old(message: Json) -> Any:
    return message.pop("tool_calls")[0]["function"]


def _spoken(message: Json, content: Any, refusal: str | None = None) -> None:
    message.pop("tool_calls", None)
    message.update(content=content, refusal=refusal)


def _twice(message: Json) -> None:
    text = message["content"]
    other = json.dumps({**json.loads(text), "reason": "otherwise", "title": "Otherwise"})
    message["content"] = f"Either {text} or {other}"


PROSE = "Sure! I would love to help with that. Let me think about where such figures might be found."
THOUGHT = '<think>Perhaps {"action": "report"}? No, wait.</think>\n'
TRUNCATED = (0.3, 0.6, 0.9)
AGENT: tuple[Role, ...] = ("agent",)
TEXT: tuple[Role, ...] = ("supervisor", "report")

READ = [
    Way("fenced", "read", _text(_fenced)),
    Way("fenced without a language", "read", _text(lambda text: f"```\n{text}\n```")),
    Way("spaces around it", "read", _text(lambda text: f"\n\n   {text}  \n")),
    Way("a byte order mark", "read", _text(lambda text: f"\ufeff{text}"), TEXT),
    Way("prose before", "read", _text(lambda text: f"Here is my answer:\n{text}"), TEXT),
    Way("prose after", "read", _text(lambda text: f"{text}\nI hope this helps!"), TEXT),
    Way("prose around a fence", "read", _text(lambda text: f"Of course.\n{_fenced(text)}\nAnything else?"), TEXT),
    Way("prose with braces", "read", _text(lambda text: f"In {{short}}: {text} :-}}"), TEXT),
    Way("a thought before", "read", _text(lambda text: THOUGHT + text), TEXT),
    Way("a thought without its beginning", "read", _text(lambda text: f"Hm {{}}.\n</think>\n{text}"), TEXT),
    Way("a thought before a fence", "read", _text(lambda text: THOUGHT + _fenced(text)), TEXT),
    Way("an extra key", "read", _text(_more), TEXT),
    Way("an extra key in the result", "read", _calls(_result_with_more), AGENT),
    Way("wrapped in an object", "read", _text(_wrapped), ("supervisor", "report")),
    Way("wrapped in a list", "read", _text(lambda text: f"[{text}]")),
    Way("encoded twice", "read", _text(json.dumps)),
    Way("encoded three times", "read", _text(lambda text: json.dumps(json.dumps(text)))),
    Way("a trailing comma", "read", _text(_trailing)),
    Way("single quotes", "read", _text(_python)),
    Way("unquoted keys", "read", _text(_unquoted)),
    Way("a comment", "read", _text(lambda text: f"// my answer\n{text}")),
    Way("content in parts", "read", _with_message(lambda it: it.update(content=_parts(it["content"]))), TEXT),
    Way("content in parts with thoughts", "read", _with_message(lambda it: it.update(content=_thinking(it))), TEXT),
    Way(
        "content in parts of odd kinds", "read", _with_message(lambda it: it.update(content=_odd(it["content"]))), TEXT
    ),
    Way("content as an object", "read", _with_message(lambda it: it.update(content=json.loads(it["content"]))), TEXT),
    Way("reasoning beside it", "read", _with_message(lambda it: it.update(reasoning_content="Hm.", reasoning="Hm."))),
    Way("no role", "read", _with_message(lambda it: it.pop("role"))),
    Way("nulls everywhere else", "read", _set(id=None, created=None, object=None, system_fingerprint=None)),
    Way("fields of odd kinds", "read", _set(service_tier=["default"], error={"message": "none"}, model=[], id=7)),
    Way("only choices and usage", "read", lambda it: {key: it[key] for key in ("choices", "usage")}),
    Way("usage in odd details", "read", lambda it: {**it, "usage": {**it["usage"], "prompt_tokens_details": "none"}}),
    Way("no finish reason", "read", _choice(finish_reason=None)),
    Way("an unknown finish reason", "read", _choice(finish_reason="eos")),
    Way("two choices", "read", lambda it: {**it, "choices": it["choices"] * 2}),
    Way("arguments as an object", "read", _calls(_loaded), AGENT),
    Way("prefixed names", "read", _calls(lambda it: _renamed(it, lambda name: f"functions.{name}")), AGENT),
    Way("names with a dot", "read", _calls(lambda it: _renamed(it, lambda name: name.replace("__", "."))), AGENT),
    Way("names in capitals", "read", _calls(lambda it: _renamed(it, str.upper)), AGENT),
    Way("names with spaces around", "read", _calls(lambda it: _renamed(it, lambda name: f" {name}\n")), AGENT),
    Way("no ids", "read", _calls(lambda it: it.pop("id")), AGENT),
    Way("empty ids", "read", _calls(lambda it: it.update(id="")), AGENT),
    Way("null ids", "read", _calls(lambda it: it.update(id=None)), AGENT),
    Way("the same id in every turn", "read", _calls(lambda it: it.update(id="call_0")), AGENT),
    Way("a very long id", "read", _calls(lambda it: it.update(id="x" * 300)), AGENT),
    Way("no type", "read", _calls(lambda it: it.pop("type")), AGENT),
    Way("calls without function", "read", _calls(lambda it: it.update(it.pop("function"))), AGENT),
    Way("one call, not a list", "read", _with_message(lambda it: it.update(tool_calls=it["tool_calls"][0])), AGENT),
    Way("the old function_call", "read", _with_message(lambda it: it.update(function_call=_old(it))), AGENT),
    Way("prose beside the call", "read", _with_message(lambda it: it.update(content=PROSE)), AGENT),
    Way("finished by stop", "read", _choice(finish_reason="stop"), AGENT),
    Way(
        "a call in tags",
        "read",
        _written(lambda name, given: f"<tool_call>\n{_call(name, given)}\n</tool_call>"),
        AGENT,
    ),
    Way("a call in brackets", "read", _written(lambda name, given: f"[TOOL_CALLS][{_call(name, given)}]"), AGENT),
    Way("a call as the text", "read", _written(_call), AGENT),
    Way("a call as the text, with parameters", "read", _written(lambda n, g: _call(n, g, "parameters")), AGENT),
    Way("a call in a fence", "read", _written(lambda name, given: _fenced(_call(name, given))), AGENT),
    Way("a call after a thought", "read", _written(lambda name, given: THOUGHT + _call(name, given)), AGENT),
]

AGAIN = [
    Way("prose", "again", _with_message(lambda it: _spoken(it, PROSE))),
    Way("nothing", "again", _with_message(lambda it: _spoken(it, ""))),
    Way("null", "again", _with_message(lambda it: _spoken(it, None))),
    Way("spaces", "again", _with_message(lambda it: _spoken(it, " \n\t "))),
    Way("a thought alone", "again", _with_message(lambda it: _spoken(it, THOUGHT))),
    Way("a number", "again", _with_message(lambda it: _spoken(it, "42"))),
    Way("an empty object", "again", _with_message(lambda it: _spoken(it, "{}"))),
    Way("an empty list", "again", _with_message(lambda it: _spoken(it, "[]"))),
    Way("another object", "again", _with_message(lambda it: _spoken(it, '{"answer": "yes"}'))),
    Way("the schema instead of an answer", "again", _with_message(lambda it: _spoken(it, '{"type": "object"}'))),
    Way("HTML as content", "again", _with_message(lambda it: _spoken(it, "<html><body>hi</body></html>"))),
    Way("an empty list of parts", "again", _with_message(lambda it: _spoken(it, []))),
    Way("a part that is a picture", "again", _with_message(lambda it: _spoken(it, [{"type": "image_url"}]))),
    Way("a refusal", "again", _with_message(lambda it: _spoken(it, None, "I would rather not."))),
    Way("a content filter", "again", _choice(finish_reason="content_filter")),
    Way("cut at its limit", "again", _choice(finish_reason="length")),
    *(Way(f"truncated at {at}", "again", _text(lambda it, at=at: it[: int(len(it) * at)])) for at in TRUNCATED),  # type: ignore[misc]
    Way("truncated in a fence", "again", _text(lambda it: f"```json\n{it[: len(it) // 2]}")),
    Way("the last bracket is missing", "again", _text(lambda it: it[:-1])),
    Way("not a number", "again", _text(lambda it: it[:-1] + ', "x": NaN}')),
    Way("half a character", "again", _text(lambda it: it[:-1] + ', "x": "\\ud83d"}')),
    Way("nested without end", "again", _text(lambda it: f'{it[:-1]}, "x": {"[" * 400}{"]" * 400}}}')),
    Way("a value that is no number", "again", _calls(_unmeasured), AGENT),
    Way("two different answers", "again", _with_message(_twice), TEXT),
    Way("arguments that are a list", "again", _text(lambda _: "[1, 2]"), AGENT),
    Way("arguments that are a text", "again", _text(lambda _: '"yes"'), AGENT),
    Way("arguments that are prose", "again", _text(lambda _: "the usual ones"), AGENT),
    Way("a call without a name", "again", _calls(lambda it: _renamed(it, lambda _: "")), AGENT),
    Way("an empty list of calls", "again", _with_message(lambda it: it.update(tool_calls=[])), AGENT),
    Way("calls that are null", "again", _with_message(lambda it: it.update(tool_calls=None)), AGENT),
    Way("a call quoted in prose", "again", _written(lambda name, given: f"I could call {_call(name, given)}."), AGENT),
    Way("400 for a call that nobody can read", "again", _body('{"error": {"message": "Failed to call a function.", '
        '"type": "invalid_request_error", "code": "tool_use_failed"}}', status=400), AGENT),
]  # fmt: skip

OUTAGE = [
    Way("a page", "outage", _body("<!DOCTYPE html><html><body>Welcome to nginx!</body></html>", "text/html")),
    Way("a page that says it is JSON", "outage", _body("<html></html>")),
    Way("a text", "outage", _body("It works!", "text/plain")),
    Way("nothing at all", "outage", _body("")),
    Way("JSON null", "outage", _body("null")),
    Way("a JSON string", "outage", _body('"ok"')),
    Way("a JSON list", "outage", _body("[]")),
    Way("a JSON number", "outage", _body("200")),
    Way("an empty JSON object", "outage", _body("{}")),
    Way("no choices", "outage", _body('{"id": "x", "object": "chat.completion"}')),
    Way("choices that are null", "outage", _body('{"choices": null}')),
    Way("choices that are empty", "outage", _body('{"choices": []}')),
    Way("choices that are an object", "outage", _body('{"choices": {"message": "hi"}}')),
    Way("choices that are empty, and a usage", "outage", _set(choices=[])),
    Way("an error with its usage", "outage", _choice(error={"code": 502, "message": "upstream"})),
    Way("a choice that is null", "outage", _body('{"choices": [null]}')),
    Way("a choice without a message", "outage", _body('{"choices": [{"index": 0, "finish_reason": "stop"}]}')),
    Way("a message that is null", "outage", _body('{"choices": [{"index": 0, "message": null}]}')),
    Way("a message that is a text", "outage", _body('{"choices": [{"index": 0, "message": "hi"}]}')),
    Way("a body that breaks off", "outage", _cut_in_half),
    Way("a stream that nobody asked for", "outage", _body('data: {"choices": []}\n\n', "text/event-stream")),
    Way("an error with 200", "outage", _body('{"error": {"message": "Provider disconnected", "code": 502}}')),
    Way("an error that is a text", "outage", _body('{"error": "Unexpected endpoint or method. (POST /chat)"}')),
    Way("an error in a list", "outage", _body('[{"error": {"code": 503, "message": "overloaded"}}]')),
    Way("a flat error", "outage", _body('{"object": "error", "message": "worker died", "code": 500}')),
    Way("an error beside null choices", "outage", _body('{"id": null, "choices": null, "error": {"code": 500}}')),
    Way("an error in the choice", "outage", _body('{"usage": {"total_tokens": 0}, "choices": [{"finish_reason": '
        '"error", "error": {"code": 502, "message": "upstream"}, "message": {"role": "assistant"}}]}')),
    Way("500", "outage", _body('{"error": {"message": "It had an error", "type": "server_error"}}', status=500)),
    Way("502 with a page", "outage", _body("<html>Bad Gateway</html>", "text/html", 502)),
    Way("503 with nothing", "outage", _body("", status=503)),
    Way("529", "outage", _body('{"type": "error", "error": {"type": "overloaded_error"}}', status=529)),
    Way("429", "outage", lambda _: JSONResponse({"error": {"message": "slow down"}}, 429, {"retry-after": "0"})),
    Way("429 with a wait in words", "outage", _body('{"error": {"message": "Please try again in 20ms."}}', status=429)),
    Way("408", "outage", lambda _: JSONResponse({"detail": "timeout"}, 408, {"retry-after": "0"})),
]  # fmt: skip

WAYS = [*READ, *AGAIN, *OUTAGE]
