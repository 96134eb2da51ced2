"""The researcher: the generic policy reads the briefs, with countries by the names that they have there."""

import re
from collections.abc import Sequence

from app.stand_in import policy as generic
from app.stand_in.packets import SpecialistPacket
from app.stand_in.turns import Script
from app.stand_in.wire import FunctionSpec
from sample.rules.places import by_name
from sample.rules.unread import unread_of_sources
from sample.rules.vocabulary import MARKET_FRAME

_SAYS_NOTHING = re.compile(r"\b(?:the )?(?:growth|development) of |\bmarkets?\b(?: for)?", re.IGNORECASE)


def researcher(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """Finds what the sources say, and tells what of the question was no part of the search."""
    objective = packet.objective.removeprefix(MARKET_FRAME).strip()
    told = _SAYS_NOTHING.sub("", by_name(objective))
    result = yield from generic.work(packet.about(told), tools)
    beside = unread_of_sources(objective) if result.findings else []
    return result.model_copy(update={"gaps": [*result.gaps, *beside]})
