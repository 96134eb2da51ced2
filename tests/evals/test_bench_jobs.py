"""The load benchmark in small: it counts right, and it sees what is lost or doubled. Times are not looked at."""

import dataclasses
from collections import Counter
from decimal import Decimal

import pytest

from evals.bench.jobs import Books, Outcome, Seen, measure
from evals.incident.invoice import Invoice
from graphs.spending.spend import Spend

JOBS, CLIENTS = 5, 2


@pytest.mark.slow
async def test_no_job_is_lost_or_doubled_under_load() -> None:
    outcome = await measure(JOBS, CLIENTS, pause_s=0.05)
    assert Counter(outcome.seen.ended.values()) == {"completed": JOBS}
    assert outcome.seen.refused == {}
    assert len(outcome.seen.submit_ms) > JOBS, "an order is sent twice"
    assert len(set(outcome.books.listed)) == len(outcome.books.listed) == JOBS
    assert outcome.books.bill.calls == sum(each.model_calls for each in outcome.books.spends) > JOBS
    assert (outcome.lost, outcome.doubled) == (0, [])
    assert min(outcome.used.values()) >= 0


def ended(**changed: object) -> Outcome:
    """Two orders, each with a job that cost two calls of 50 micro-dollars."""
    seen = Seen(orders=[{"a"}, {"b"}], ended={"a": "completed", "b": "completed"})
    bill = Invoice(calls=4, failed=0, tokens=0, dollars=Decimal("0.0002"), longest_input=0, longest_answer=0)
    books = Books(["a", "b"], [Spend(micro_usd=100, model_calls=2)] * 2, bill)
    return Outcome(seen, dataclasses.replace(books, **changed), 1.0, {})  # type: ignore[arg-type]


def test_all_is_well_when_the_books_agree() -> None:
    assert (ended().lost, ended().doubled) == (0, [])


def test_an_order_without_an_ended_job_is_lost() -> None:
    outcome = ended()
    outcome.seen.orders.append(set())
    assert outcome.lost == 1
    del outcome.seen.ended["b"]
    assert outcome.lost == 2


def test_two_jobs_of_one_order_are_doubled() -> None:
    assert ended(listed=["a", "b", "c"]).doubled == ["3 jobs are listed for 2 orders"]
    outcome = ended()
    outcome.seen.orders[0].add("c")
    assert len(outcome.doubled) == 1


def test_calls_that_nobody_counted_and_money_that_does_not_add_up_show() -> None:
    bill = ended().books.bill
    assert ended(bill=dataclasses.replace(bill, calls=5)).doubled == ["5 calls were billed, and 4 counted"]
    for dollars in ("0.00021", "0.00019"):
        assert len(ended(bill=dataclasses.replace(bill, dollars=Decimal(dollars))).doubled) == 1
