"""What `make evals` asks. What counts as right is computed when it is asked for, never typed."""

import csv
import re

from evals.questions import Expected, Question
from sample import DOCUMENTS, SALES


def asked() -> tuple[Question, ...]:
    """A few questions, of four of the kinds; add yours. With data of a later year there could be forecasts."""
    revenue = _revenue("North", "2025")
    days = _written("delivery", r"takes (\d+) working days in the North", "days")
    returned = _written("returns", r"In 2025 customers returned (\d+) percent", "%")
    return (
        Question(
            "revenue-north", "sales", "What was our revenue in the North in 2025?", (revenue,), parts=("North 2025",)
        ),
        Question(
            "delivery-north",
            "market",
            "How many working days does standard delivery take in the North?",
            (days,),
            parts=("delivery days",),
        ),
        Question(
            "revenue-and-returns",
            "both",
            "What was our revenue in the South in 2024, and which percentage of orders did customers return in 2025?",
            (_revenue("South", "2024"), returned),
            parts=("South 2024", "return orders"),
        ),
        Question("no-such-region", "unanswerable", "What was our revenue in the West in 2025?", gap=("West",)),
        Question("no-such-year", "unanswerable", "What was our revenue in the North in 2019?", gap=("2019",)),
    )


def _revenue(region: str, year: str) -> Expected:
    with SALES.open(encoding="utf-8", newline="") as lines:
        rows = [each for each in csv.DictReader(lines) if each["region"] == region]
    value = sum(float(each["revenue_eur"]) for each in rows if each["order_date"].startswith(year))
    return Expected(value, "EUR", tolerance=0.5, said_with=(), source=SALES.name)


def _written(document: str, pattern: str, unit: str) -> Expected:
    found = re.search(pattern, (DOCUMENTS / f"{document}.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{document}.md no longer says {pattern!r}; adapt sample/questions.py")
    return Expected(float(found[1]), unit, tolerance=0.0, said_with=(), source=document)
