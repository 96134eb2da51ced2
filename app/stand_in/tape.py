"""Answers by a cassette instead of rules: each request gets what it got when the job was recorded."""

import itertools
import json
import logging
from collections import Counter, defaultdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.observing.redaction import redacted
from app.recording.asked import difference, digest, nearest
from app.recording.cassette import Cassette
from app.stand_in.wire import BadRequestError, Json, error_body

NOT_RECORDED = 404

logger = logging.getLogger(__name__)


class Tape:
    """The answers of a cassette. Equal requests get theirs in turn, and then from the first again, so that any number
    of jobs can run on it. Attempts that the provider did not answer are left out."""

    def __init__(self, cassette: Cassette) -> None:
        exchanges = itertools.chain.from_iterable(cassette.models.values())
        self._known = [each for each in exchanges if each.request and "status" in each.line]
        self._answers: dict[str, list[Json]] = defaultdict(list)
        for each in self._known:
            self._answers[digest(each.request or {})].append(each.line)
        self._given: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """The recorded answer, or 404 and what differs from the nearest request that is recorded."""
        try:
            asked: Json = redacted(json.loads(await request.body()))
            wanted = digest(asked)
        except (ValueError, TypeError, AttributeError) as error:
            raise BadRequestError(f"body: {error}") from error
        found = self._answers.get(wanted)
        if not found:
            return JSONResponse(error_body(self._unknown(asked), "invalid_request_error", "not_recorded"), NOT_RECORDED)
        line = found[self._given[wanted] % len(found)]
        self._given[wanted] += 1
        told = line["response"]
        if isinstance(told, str):
            return Response(told, line["status"], line.get("headers"))
        return JSONResponse(told, line["status"], line.get("headers"))

    def _unknown(self, asked: Json) -> str:
        if not self._known:
            return "the cassette has no answers"
        near = self._known[nearest(asked, [each.request or {} for each in self._known])]
        where = " of ".join(filter(None, [near.line["task"], near.line["agent"]]))
        diff = difference(near.request or {}, asked)
        logger.warning("not in the cassette; nearest is %s (%s):\n%s", near.line["id"], where, "\n".join(diff))
        return f"not in the cassette; nearest is {near.line['id']} ({where}): {' '.join(diff)}"
