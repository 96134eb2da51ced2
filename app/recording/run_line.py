"""The first line of a recorded run: when it began, and what its process had learned of the models."""

from typing import Any

from app.config.price_list import is_openai
from graphs.answers.dialect import Dialect
from graphs.clock import utc_now
from graphs.deps import Deps
from graphs.spending.sizes import Sizes
from graphs.state import Json


def run_line(deps: Deps, attempt: int, notice: str, decision: Json | None) -> Json:
    """The line. `notice` is what its reports say of the model, `decision` the answer to an escalation that it goes on
    with."""
    models = {name: _known(model.dialect, model.sizes) for name, model in _models(deps).items()}
    told = {"kind": "run", "at": utc_now().isoformat(), "attempt": attempt, "models": models}
    told |= {"notice": notice, "openai": is_openai(str(deps.model.openai_api_base))}
    return told | ({"decision": decision} if decision else {})


def learned(deps: Deps, line: Json) -> None:
    """Let the models know what those of the recorded run knew, so that they ask in the same way."""
    for name, model in _models(deps).items():
        known = line["models"][name]
        for field, value in known["dialect"].items():
            setattr(model.dialect, field, set(value) if isinstance(value, list) else value)
        model.sizes.expect(known["longest"])


def _models(deps: Deps) -> dict[str, Any]:
    return {"supervisor": deps.supervisor_model, "agents": deps.model}


def _known(dialect: Dialect, sizes: Sizes) -> Json:
    told = {name: sorted(value) if isinstance(value, set) else value for name, value in vars(dialect).items()}
    return {"dialect": told, "longest": sizes.longest()}
