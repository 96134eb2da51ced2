"""Questions over data of strangers: answered as another would compute it, or refused with what can be asked."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.strangers import Strangers

ANSWERED = [
    ("names", "What was our revenue by country in 2024?",
     ["Total revenue eur for order date 2024, country Germany: 800",
      "Total revenue eur for order date 2024, country France: 400"]),
    ("names", "What is our revenue in Germany in 2024?",
     ["Total revenue eur for country Germany, order date 2024: 800"]),
    ("names", "What is the revenue of product In?", ["Total revenue eur for product In: 500"]),
    ("names", "What was the revenue for By Design Ltd?", ["Total revenue eur for customer By Design Ltd: 500"]),
    ("names", "How many customers do we have?", ["Number of customers: 3"]),
    ("names", "What is Germany's revenue?", ["Total revenue eur for country Germany: 900"]),
    ("names", "How did our revenue develop?",
     ["Total revenue eur for order date year 2023: 300", "Total revenue eur for order date year 2024: 1200"]),
    ("names", "How many units did we sell in France and Germany since 2024?",
     ["Total units for order date since 2024, country Germany: 8",
      "Total units for order date since 2024, country France: 4"]),
    ("short names", "Who are the top 3 customers by revenue?",
     ["Total revenue eur for customer Anna, rank 1: 100", "Total revenue eur for customer Ben, rank 2: 50",
      "Total revenue eur for customer Carl, rank 3: 20"]),
    ("short names", "What is the revenue of category Top?", ["Total revenue eur for category Top: 70"]),
    ("short names", "What is the revenue in the Web channel?", ["Total revenue eur for channel Web: 120"]),
    ("more than 40 values", "What was our revenue in California?", ["Total revenue for state California: 104 USD"]),
    ("more than 40 values", "What was our revenue in New York in January 2024?",
     ["Total revenue for state New York, day 2024-01: 105 USD"]),
    ("shop", "How many orders are there?", ["Number of orders: 6"]),
    ("shop", "How many rows are there?", ["Number of rows: 7"]),
    ("shop", "What was the amount for March Ltd ordered in March 2024?",
     ["Total amount for customer March Ltd, ordered 2024-03: 90"]),
    ("shop", "What is the total amount of Total Care?", ["Total amount for customer Total Care: 50"]),
    ("shop", "total amount for Acme Ltd. shipped in Q1 2024",
     ["Total amount for customer Acme Ltd., shipped 2024-Q1: 7.5"]),
    ("shop", "What is the amount of Order Book?", ["Total amount for product Order Book: 7.5"]),
    ("shop", "What are the top 2 products by quantity?",
     ["Total quantity for product Mug, rank 1: 12", "Total quantity for product Tea Pot, rank 2: 4"]),
    ("shop", "Which customer has the most orders?", ["Number of orders for customer March Ltd, rank 1: 2"]),
    ("shop", "What is the average unit price by status?",
     ["Average unit price for status in progress: 30", "Average unit price for status paid: 15.5",
      "Average unit price for status returned: 10", "Average unit price for status new: 7.5"]),
    ("shop", "How many orders with status in progress are there?", ["Number of orders for status in progress: 1"]),
    ("shop", "What is the highest amount?", ["Highest amount: 90"]),
    ("names", "Which month had the lowest revenue?", ["Total revenue eur for order date month 2023-01, rank 1: 100"]),
    ("shop", "amount by customer in 2024 shipped",
     ["Total amount for shipped 2024, customer March Ltd: 90", "Total amount for shipped 2024, customer Top: 44",
      "Total amount for shipped 2024, customer (empty): 11", "Total amount for shipped 2024, customer Acme Ltd.: 7.5"]),
    ("shop", "How many orders were shipped since March 2024?", ["Number of orders for shipped since 2024-03: 4"]),
    ("gym", "How many members joined in 2024 by club?",
     ["Number of members for joined on 2024, club South: 2", "Number of members for joined on 2024, club North: 1"]),
    ("gym", "How many members left in 2024?", ["Number of members for left on 2024: 2"]),
    ("gym", "Who are the top 2 members by visits?",
     ["Total visits for member id 3, rank 1: 70", "Total visits for member id 5, rank 1: 70"]),
    ("gym", "Which club has the fewest members?", ["Number of members for club South, rank 1: 2"]),
    ("gym", "How many members are there with active true?", ["Number of members for active true: 3"]),
    ("gym", "average number of visits of plan Pro", ["Average visits for plan Pro: 55"]),
    ("gym", "What are the visits of member 2?", ["Total visits for member id 2: 40"]),
    ("sensors", "What is the average temperature by sensor?",
     ["Average temperature c for sensor s2: 24", "Average temperature c for sensor s1: 19",
      "Average temperature c for sensor s3: -1.25"]),
    ("sensors", "What was the highest temperature in room 3?", ["Highest temperature c for room 3: 25.5"]),
    ("sensors", "Which sensor has the lowest temperature?", ["Lowest temperature c for sensor s3, rank 1: -1.25"]),
    ("sensors", "How many readings with status fault were there in March 2024?",
     ["Number of readings for status fault, measured at 2024-03: 1"]),
    ("sensors", "What was the average temperature on 2024-03-01?",
     ["Average temperature c for measured at 2024-03-01: 21.25"]),
    ("school", "What is the average note by fach in 2024?",
     ["Average note for datum 2024, fach Deutsch: 4", "Average note for datum 2024, fach Sport: 2.25"]),
    ("school", "Which schueler has the lowest average note?", ["Average note for schueler Jörg, rank 1: 1.75"]),
    ("school", "What is the average note in Sport for Herr Núñez?",
     ["Average note for fach Sport, lehrkraft Herr Núñez: 2.25"]),
    ("tickets", "How many tickets were created between January 2024 and March 2024?",
     ["Number of tickets for created at 2024-01 to 2024-03: 4"]),
    ("tickets", "How many tickets were resolved in March 2024?", ["Number of tickets for resolved at 2024-03: 2"]),
    ("tickets", "How many tickets of Total are there in total?", ["Number of tickets for agent Total: 2"]),
    ("tickets", "How many tickets per month by created at?",
     ["Number of tickets for created at month 2023-12: 1", "Number of tickets for created at month 2024-01: 2",
      "Number of tickets for created at month 2024-03: 2"]),
    ("tickets", "What are the average minutes to answer by agent and channel?",
     ["Average minutes to answer for agent By, channel Web: 600",
      "Average minutes to answer for agent Total, channel Mail: 25",
      "Average minutes to answer for agent Mia, channel Web: 22.5"]),
    ("tickets", "How many tickets with state closed and priority low are there?",
     ["Number of tickets for state closed, priority low: 2"]),
    ("german", "What was the Umsatz for Müller GmbH in 2024?",
     ["Total umsatz eur for kunde Müller GmbH, bestelldatum 2024: 310.25"]),
    ("german", "How many Kunden are there?", ["Number of kunden: 2"]),
    ("german", "Umsatz in EUR by Bundesland and year",
     ["Total umsatz eur for bundesland Bayern, bestelldatum year 2023: 100.5",
      "Total umsatz eur for bundesland Bayern, bestelldatum year 2024: 310.25",
      "Total umsatz eur for bundesland Hessen, bestelldatum year 2024: 300"]),
    ("odd", "What is the total amount?",
     ["Total amount for amount currency USD: 53.5", "Total amount for amount currency EUR: 15"]),
    ("odd", "What is the total amount in USD by order?",
     ["Total amount for amount currency USD, order y: 33", "Total amount for amount currency USD, order x: 20.5"]),
    ("odd", "How many payments are there by select and my group (new)?",
     ["Number of payments for select a, my group (new) 1: 2", "Number of payments for select b, my group (new) 2: 2"]),
    ("years", "What was the cost in 2024?", ["Total cost for year 2024: 25"]),
    ("years", "cost by year", ["Total cost for year 2024: 25", "Total cost for year 2023: 10"]),
    ("two", "How many tickets are there by channel?",
     ["Number of tickets for channel Web: 3", "Number of tickets for channel Mail: 2"]),
    ("two", "What is the total amount by status in Lyon?",
     ["Total amount for city Lyon, status returned: 50", "Total amount for city Lyon, status paid: 11",
      "Total amount for city Lyon, status new: 7.5"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "question", "claims"), ANSWERED)
def test_simple_questions_are_answered_over_any_columns(
    data: str, question: str, claims: list[str], tmp_path: Path
) -> None:
    found, gaps = Strangers(data, tmp_path).ask(question)
    assert ([each.claim for each in found], gaps) == (claims, [])


REFUSED = [
    ("names", "What is our revenue in Spain?", "'Spain'"),
    ("names", "What is our profit in Germany?", "'profit'"),
    ("names", "What was our revenue in 2019?", "order date 2019"),
    ("names", "What is our revenue, except Germany?", "'except'"),
    ("names", "What is our revenue outside Germany?", "'outside'"),
    ("names", "How many orders did Anna place?", "'Anna' may be a value of customer; then write 'customer Anna'"),
    ("names", "How many orders had a revenue of more than 100?", "'more', 'than'"),
    ("names", "What is the median revenue?", "'median'"),
    ("names", "Who has the highest revenue?", "'Who'"),
    ("names", "What was our revenue in March?", "'March'"),
    ("names", "What was the revenue in January 2023 and 2024?", "'2023'"),
    ("names", "What was our revenue until 2023?", "'until'"),
    ("names", "How many web orders are there?", "'Web' may be a value of channel"),
    ("names", "What is the revenue of Germany and Anna?", "cannot be in one list"),
    ("more than 40 values", "What was our revenue in Atlantis?", "none holds just that: 'Atlantis'"),
    ("shop", "What was the amount in 2024?", "ordered, shipped; say which"),
    ("shop", "What is the total unit price?", "nothing to add up"),
    ("shop", "average amount per customer", "write 'by' for that of rows"),
    ("shop", "What is the highest amount by customer?", "ask which has the highest amount"),
    ("shop", "top 2 customers by amount by city", "ranks one thing at a time"),
    ("shop", "How many returned orders are there?", "'returned' may be a value of status"),
    ("shop", "What is the distance from Lyon to Berlin?", "'distance'"),
    ("shop", "What is the amount from Lyon to Berlin?", "city is told twice"),
    ("shop", "What is the amount of quantity 1 and unit price by city?", "'unit', 'price'"),
    ("gym", "How many active members are there?", "'members'"),
    ("gym", "How many members were there in 2024?", "birth_date, joined_on, left_on; say which"),
    ("gym", "What is the name of member 2?", "names nothing to count"),
    ("sensors", "What is the temperature?", "say the average, highest or lowest temperature"),
    ("sensors", "What is the temperature in room 9?", "'9'"),
    ("school", "What is the best note?", "which note is the best"),
    ("school", "Top 3 schueler by note", "which note is the top"),
    ("school", "Was ist die durchschnittliche Note?", "'durchschnittliche'"),
    ("tickets", "How many tickets are open?", "'open' may be a value of state; then write 'state open'"),
    ("odd", "What are the payments?", "names nothing to count"),
    ("years", "What was the cost in March 2024?", "no more than the year"),
    ("two", "What is the average by channel?", "'average'"),
    ("twins", "What is the total amount by status?", "offers or orders"),
]


@pytest.mark.parametrize(("data", "question", "named"), REFUSED)
def test_what_is_not_understood_is_refused_with_what_can_be_asked(
    data: str, question: str, named: str, tmp_path: Path
) -> None:
    found, [gap] = Strangers(data, tmp_path).ask(question)
    assert found == []
    assert named.lower() in gap.lower()
    assert "OPENAI_API_KEY" in gap or gap.startswith("No row of")


@pytest.mark.parametrize(("data", "looks"), [("names", 0), ("more than 40 values", 1)])
def test_a_name_is_missed_only_after_a_look_where_not_all_values_are_listed(
    data: str, looks: int, tmp_path: Path
) -> None:
    strangers = Strangers(data, tmp_path)
    _, [gap] = strangers.ask("What was our revenue in Atlantis?")
    assert "'Atlantis'" in gap
    assert ["'atlantis'" in sql for sql in strangers.asked] == [True] * looks


@pytest.fixture
def shop(tmp_path: Path) -> Strangers:
    return Strangers("shop", tmp_path)


WORDS = st.sampled_from(
    """how many much what which is the our of in by for per and or top 3 two highest lowest average total number amount
    quantity orders customers products status Mug Lyon March Ltd 2024 2023 Q1 month year since between ordered shipped
    with unit price returned ' " ( ) { } c0 v1 % ; -- null""".split()  # noqa: SIM905
)


@given(words=st.lists(WORDS, max_size=12))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_the_statement_runs(words: list[str], shop: Strangers) -> None:
    found, gaps = shop.ask(" ".join(words))
    assert found or gaps
