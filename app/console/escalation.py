"""The question that a job asks at a limit, with its choices as a form made from their schema."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from app.access.keys import Scope
from app.api import actions
from app.api.models import DecisionRequest
from app.console.frame import REQUEST_ID, Viewer, checked, number, shown
from graphs.state import Json

LABELS = {"amount_usd": "US dollars to add", "note": "What to do instead"}


def asked(viewer: Viewer, job_id: str, escalation: Json, answered: Callable[[], Awaitable[object]]) -> None:
    """Show the question and the choices. `answered` is called after a decision was taken."""
    with ui.element("section").classes("card escalation").props("aria-label='Decision needed'"):
        ui.html(shown("escalation.html", each=escalation), sanitize=True)
        if not viewer.may(Scope.DECIDE):
            ui.label("This key may not decide: it needs the scope decide.").classes("note")
            return
        with ui.element("div").classes("choices"):
            for choice in _choices(escalation):
                _form(viewer, job_id, escalation, choice, answered)


def _choices(escalation: Json) -> list[Json]:
    schema = escalation["choices"]
    found = [schema["$defs"][each["$ref"].rpartition("/")[2]] for each in schema["oneOf"]]
    raises = escalation["least_amount_usd"] <= escalation["most_amount_usd"]
    return [each for each in found if raises or "amount_usd" not in each["properties"]]


def _form(
    viewer: Viewer, job_id: str, escalation: Json, choice: Json, answered: Callable[[], Awaitable[object]]
) -> None:
    action = choice["properties"]["action"]["const"]
    fields: dict[str, Any] = {}
    with ui.element("fieldset").props(f"data-action={action}"):
        with ui.element("legend"):
            ui.label(action.replace("_", " ").capitalize())
        ui.label(" ".join(choice["description"].split())).classes("note")
        for name, field in choice["properties"].items():
            if name == "action":
                continue
            label = LABELS.get(name, name)
            if field["type"] == "number":
                least, most = escalation["least_amount_usd"], escalation["most_amount_usd"]
                fields[name] = number(label, _suggested(least, most), least, most)
            else:
                fields[name] = ui.textarea(label).props(f"autogrow rows=2 maxlength={field.get('maxLength', 1000)}")
        button = ui.button(action.replace("_", " ").capitalize())

    async def decide() -> None:
        async def act() -> None:
            given = {name: field.value for name, field in fields.items() if field.value not in {None, ""}}
            decision = checked(DecisionRequest, action=action, escalation_id=escalation["escalation_id"], **given)
            await actions.decide(viewer.console.backend, viewer.caller, job_id, decision, REQUEST_ID)

        button.disable()
        if await viewer.does(act, "Decided. The job goes on."):
            await answered()
        else:
            button.enable()

    button.on_click(decide)


def _suggested(least: float, most: float) -> float:
    """Something above the least, in cents."""
    return float(round(min(most, max(0.1, least * 1.5)), 2) if most >= 0.01 else most)
