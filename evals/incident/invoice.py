"""What the stand-in model would bill: its own token count, times list prices written here by hand."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

# US dollars per million tokens: input, cached input, output.
LIST_PRICES = {
    "gpt-5": (Decimal("1.25"), Decimal("0.125"), Decimal("10.00")),
    "gpt-5-mini": (Decimal("0.25"), Decimal("0.025"), Decimal("2.00")),
    "gpt-5-nano": (Decimal("0.05"), Decimal("0.005"), Decimal("0.40")),
    "gpt-4.1-nano": (Decimal("0.10"), Decimal("0.025"), Decimal("0.40")),
    "house-model-1": (Decimal("2.00"), Decimal("0.20"), Decimal("8.00")),  # a contract's, on nobody's list
}
# Most tokens per request to either, https://developers.openai.com/api/docs/models/gpt-5-nano; the stand-in allows more.
LONGEST_INPUT = 272_000
LONGEST_ANSWER = 128_000


@dataclass(frozen=True)
class Invoice:
    """Received requests, including failed ones; tokens and US dollars of the billed ones."""

    calls: int
    failed: int
    tokens: int
    dollars: Decimal
    longest_input: int
    longest_answer: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Invoice":
        """From the response of `GET /invoice`. Raises KeyError for a model without a price above."""
        billed = document["billed"]
        read, said = ([each[f"{name}_tokens"] for each in billed] for name in ("input", "output"))
        cost = sum(map(_dollars, billed), Decimal(0))
        return cls(
            document["calls"],
            document["failed"],
            sum(read) + sum(said),
            cost,
            max(read, default=0),
            max(said, default=0),
        )

    @property
    def problem(self) -> str:
        """A request that a real provider would have refused, or ""."""
        if self.longest_input > LONGEST_INPUT:
            return f"a request of {self.longest_input} tokens exceeds the model's context"
        if self.longest_answer > LONGEST_ANSWER:
            return f"an answer of {self.longest_answer} tokens exceeds the model's output limit"
        return ""


async def invoice(model_url: str) -> Invoice:
    """The invoice of the stand-in model at this address, which includes `/v1`."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{model_url.removesuffix('/v1')}/invoice")
        return Invoice.of(answer.raise_for_status().json())


def cost(model: str, read: int, again: int, said: int) -> Decimal:
    """Of tokens read, of those among them that were cached, and of tokens written. KeyError for an unknown model."""
    into, cached, out = LIST_PRICES[model]
    return ((read - again) * into + again * cached + said * out) / 1_000_000


def _dollars(billed: dict[str, Any]) -> Decimal:
    return cost(billed["model"], *(billed[f"{name}_tokens"] for name in ("input", "cached", "output")))
