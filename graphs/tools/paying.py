"""Tells the toll gate what became of a call that it has admitted."""

import math
from collections.abc import Awaitable

from mcp import McpError
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

from graphs.spending.tool_toll import Charge
from graphs.tools.results import Answer
from graphs.tools.transport import Unanswered

NOT_DONE = {PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS}  # errors about a call, not in it


async def paid(charge: Charge, call: Awaitable[Answer]) -> Answer:
    """The answer to a call that is sent now. Raises Unanswered if it says that the server is busy."""
    charge.may_be_done = True
    try:
        answer = _unless_busy(await call)
    except Unanswered as problem:
        charge.may_be_done = problem.may_be_done
        raise
    except McpError as error:
        charge.may_be_done = error.error.code not in NOT_DONE
        raise
    charge.answered, charge.meta = True, answer.meta
    return answer


def _unless_busy(result: Answer) -> Answer:
    told = result.meta if result.failed is True and isinstance(result.meta, dict) else {}
    after = told.get("retry_after_s")
    if isinstance(after, int | float) and 0 <= after < math.inf:
        raise Unanswered("it is busy", may_be_done=False, retry_after_s=float(after))
    return result
