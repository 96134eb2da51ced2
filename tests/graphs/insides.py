"""Words of the libraries inside, which nobody who orders a job has to know."""

import re

from pydantic import BaseModel, ValidationError

INSIDES = re.compile(
    r"validation errors? for|pydantic|input_type=|[Ll]ang(?:[Gg]raph|[Cc]hain)|[Rr]ecursion limit|Traceback"
    r"|\b[A-Z]\w*(?:Error|Exception)\b|AgentResult|SupervisorDecision|ReportDraft"
)


class _Arguments(BaseModel):
    year: int


def pydantic_says() -> str:
    """What a server answers that passes on what pydantic says of its arguments, as the MCP SDK does by default."""
    try:
        _Arguments.model_validate({"year": ["a", "b]"]})
    except ValidationError as error:
        return f"Error executing tool sales: {error}"
    raise AssertionError("that fits")
