"""What `make evals` asks. What counts as right is computed when it is asked for, never typed."""

import csv

from evals.questions import Expected, Question
from sample import SALES


def asked() -> tuple[Question, ...]:
    """One question; add yours."""
    with SALES.open(encoding="utf-8", newline="") as lines:
        revenue = sum(
            float(row["revenue_eur"])
            for row in csv.DictReader(lines)
            if row["region"] == "North" and row["order_date"].startswith("2025")
        )
    expected = Expected(revenue, "EUR", tolerance=0.5, said_with=(), source="sales.csv")
    return (Question("revenue-north", "sales", "What was our revenue in the North in 2025?", (expected,)),)
