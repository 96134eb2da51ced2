"""What a day's money was spent on: the parts that its sum in the ledger is made of.

Each kind of part adds up to the sum: by agent, by item (a model, a tool, an embedding model), by quarter of an hour (of
when the call was reserved), and by tenant, or by job of one tenant. A day has at most 64 names of a kind; what others
spend is counted as `other`. Agent and tenant are empty for what no job asked for: embeddings of documents.
"""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from graphs.spending.spend import DaySpend

MODEL, TOOL, EMBEDDING, OTHER = "model:", "tool:", "embedding:", "other:"  # begin the names of items
LONGEST_ITEM = 120  # characters
SLOT_S = 900
DEAREST = 20  # tenants or jobs that are read


class ItemSpend(BaseModel):
    """What calls of one item have used; `input_tokens` include `cached_tokens`, which cost `saved_micro_usd` less."""

    model_config = ConfigDict(frozen=True)

    micro_usd: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    saved_micro_usd: int = 0


class DayParts(BaseModel):
    """The parts of a day's sum, of the deployment or of one tenant, in micro-dollars.

    `slots` are quarters of an hour by number, from midnight UTC. `dearest` are the tenants, or the tenant's jobs, that
    spent most, the dearest first. Days of earlier versions have no parts.
    """

    model_config = ConfigDict(frozen=True)

    spend: DaySpend
    agents: dict[str, int] = {}
    items: dict[str, ItemSpend] = {}
    slots: dict[int, int] = {}
    dearest: dict[str, int] = {}

    @classmethod
    def counted(cls, spend: Sequence[bytes | None], parts: Sequence[bytes], dearest: Sequence[bytes]) -> Self:
        """From what the script answers: amounts, fields and values of the parts, members and scores of the dearest."""
        found: dict[str, dict[str, Any]] = {"agent": {}, "slot": {}}
        items: dict[str, dict[str, bytes]] = {}
        for field, value in _pairs(parts):
            kind, is_part, name = field.partition(":")
            if kind in found:
                found[kind][name] = value
            elif kind in ItemSpend.model_fields:
                items.setdefault(name, {})[kind] = value
            elif is_part:
                items.setdefault(field, {})["micro_usd"] = value
        amounts = {"spend": DaySpend.counted(spend), "agents": found["agent"], "slots": found["slot"]}
        most = {name: int(float(score)) for name, score in _pairs(dearest)}
        return cls.model_validate({**amounts, "items": items, "dearest": most})

    def of(self, kind: str) -> dict[str, ItemSpend]:
        """The items of a kind, such as `MODEL`, without it in their names."""
        return {name.removeprefix(kind): each for name, each in self.items.items() if name.startswith(kind)}


def _pairs(flat: Sequence[bytes]) -> list[tuple[str, bytes]]:
    names, values = flat[::2], flat[1::2]
    return [(name.decode(), value) for name, value in zip(names, values, strict=True)]
