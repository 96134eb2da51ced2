"""An escalation as LangChain's clients show it, and their answers as our choices.

Agent Inbox, Agent Chat UI and Studio read the fields of LangChain's human-in-the-loop middleware (`action_requests`,
`review_configs`); an older Agent Inbox reads `action_request`, `config` and `description`. They show one proposed
action, whose arguments can be edited. Each of their buttons means one choice:

| button | proposed `approve_more` | proposed `finish_partial`, if no amount suffices |
| --- | --- | --- |
| approve, accept | the amount shown | `finish_partial` |
| edit | the amount as edited; a `note` makes it `redirect` | |
| respond | `redirect` with this text and the amount shown | |
| reject | `finish_partial`: no more money, whatever the reason | `abort` |
| ignore | `finish_partial`, as if nobody had answered | `finish_partial` |

A text that is only `finish_partial` or `abort`, in whatever field, is that choice.
"""

from typing import Any, Literal, TypedDict

from graphs.planning.decision import Abort, FinishPartial, proposed_usd
from graphs.spending.limits import MICRO, dollars
from graphs.state import Json
from graphs.untrusted.inert import one_line

_WITHOUT_ARGUMENTS = {choice().action for choice in (FinishPartial, Abort)}


class Action(TypedDict):
    """The proposed action. Agent Chat UI reads `args`, Agent Inbox `arguments`; neither can show a null in them."""

    name: str
    args: Json
    arguments: Json
    description: str


class ReviewConfig(TypedDict):
    """What may be answered to an action."""

    action_name: str
    allowed_decisions: list[Literal["approve", "edit", "reject", "respond"]]


class Review(TypedDict):
    """What LangChain's clients read of an interrupt's value. Ours must share no field with it."""

    action_requests: list[Action]
    review_configs: list[ReviewConfig]
    action_request: Json
    config: dict[str, bool]
    description: str


def review(question: Json) -> Review:
    """These fields for an escalation (`graphs.planning.decision.escalation`)."""
    amount, description = proposed_usd(question), _described(question)
    name, args = _proposal(amount)
    goes_on = amount is not None
    return {
        "action_requests": [{"name": name, "args": args, "arguments": args, "description": description}],
        "review_configs": [
            {
                "action_name": name,
                "allowed_decisions": ["approve", "edit", "reject", "respond"] if goes_on else ["approve", "reject"],
            }
        ],
        "action_request": {"action": name, "args": args},
        "config": {"allow_accept": True, "allow_edit": goes_on, "allow_respond": goes_on, "allow_ignore": True},
        "description": description,
    }


def choice(answer: object, question: Json) -> Json | None:
    """The choice that an answer in a client's form means, not yet validated; None if it has no such form.

    Raises:
        ValueError: it has such a form, but means no choice.
    """
    match answer:
        case {"decisions": [one]} | [one] | ({"type": _} as one):
            return _meant(one, proposed_usd(question))
        case {"decisions": _} | [*_]:
            raise ValueError("one decision is needed, in a list")
    return None


def _meant(decision: object, amount_usd: float | None) -> Json:
    match decision:
        case {"type": "approve"} | {"type": "accept", "args": None}:
            return _named(*_proposal(amount_usd))
        case {"type": "accept" | "edit", "args": {"action": str(name), "args": {**args}}}:
            return _named(name, args)
        case {"type": "edit", "edited_action": {"name": str(name), "args": {**args}}}:
            return _named(name, args)
        case {"type": "respond", "message": str(text)} | {"type": "response", "args": str(text)}:
            return _bare(text) or {"action": "redirect", "note": text.strip(), "amount_usd": amount_usd or 0}
        case {"type": "reject", **more}:
            return _bare(str(more.get("message"))) or {"action": "abort" if amount_usd is None else "finish_partial"}
        case {"type": "ignore"}:
            return {"action": "finish_partial"}
    raise ValueError("it is no complete approve, edit, reject or respond, nor accept, edit, response or ignore")


def _proposal(amount_usd: float | None) -> tuple[str, Json]:
    return ("finish_partial", {}) if amount_usd is None else ("approve_more", {"amount_usd": amount_usd, "note": ""})


def _named(name: str, args: dict[Any, Any]) -> Json:
    """The choice with this name and these arguments. Clients send an empty text for what was left out."""
    given = {key: value for key, value in args.items() if value != ""}
    if bare := _bare(str(given.get("note"))):
        return bare
    return {**given, "action": "redirect" if name == "approve_more" and "note" in given else name}


def _bare(text: str) -> Json | None:
    name = text.strip()
    return {"action": name} if name in _WITHOUT_ARGUMENTS else None


def _described(question: Json) -> str:
    """What a human needs in order to decide, as Markdown; untrusted words in it are harmless."""
    done, still = len(question["tasks_done"]), len(question["tasks_open"])
    paragraphs = [
        f"{question['what_happened']} {one_line(question['detail'])}".strip(),
        f"Question: {one_line(question['question'])}",
        f"Spent: {_usd(question['spent_usd'])} of {_usd(question['budget_usd'])}. "
        f"Tasks: {done} done, {still} open. Findings: {question['findings']}.",
        f"To go on: {question['remedy']}" if question["remedy"] else "",
        _answers(question),
        f"After {question['answer_by']} the report is finished from what there is." if question["answer_by"] else "",
    ]
    return "\n\n".join(each for each in paragraphs if each)


def _answers(question: Json) -> str:
    amount = proposed_usd(question)
    if amount is None:
        return "- Approve: write the report from what there is.\n- Reject: end without a report."
    least, most = question["least_amount_usd"], question["most_amount_usd"]
    return (
        f"- Approve: add {_usd(amount)} to the budget and go on.\n"
        f"- Edit: add another amount, from {_usd(least)} to {_usd(most)}. "
        "A note says what to do instead of the open tasks.\n"
        f"- Respond: your text is such a note, and {_usd(amount)} is added.\n"
        "- Reject or ignore: add nothing, and write the report from what there is.\n"
        "- The text `abort`, as response, reason or note: end without a report."
    )


def _usd(amount: float) -> str:
    return dollars(round(amount * MICRO))
