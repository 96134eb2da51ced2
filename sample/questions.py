"""The 24 questions. What counts as the right answer is computed when they are asked for, never typed."""

import functools

from evals.questions import Question
from sample.truth import Truth, truth


@functools.cache
def asked() -> tuple[Question, ...]:
    """All of them, with what the data say. It takes three seconds, once per process."""
    with truth() as known:
        return questions(known)


def questions(known: Truth) -> tuple[Question, ...]:
    """All of them, by kind."""
    return (*_market(known), *_sales(known), *_both(known), *_forecast(known), *_unanswerable())


def _market(known: Truth) -> list[Question]:
    return [
        Question(
            "germany-charging-points",
            "market",
            "How many public charging points does Germany have, and do sources agree?",
            tuple(known.fact(each) for each in ("EV-P10", "EV-P11", "EV-P12")),
        ),
        Question(
            "eu-registrations",
            "market",
            "How many battery-electric cars were newly registered in the EU in 2025, and what was their share?",
            (known.fact("EV-S18"), known.fact("EV-S19", "EU", "2025")),
        ),
        Question(
            "norway-share",
            "market",
            "What share of new cars in Norway was electric in 2024 and in 2025?",
            (known.fact("EV-S30", "2024"), known.fact("EV-S31", "2025")),
        ),
        Question(
            "battery-prices",
            "market",
            "What did lithium-ion battery packs cost per kWh in 2025, and how much in 2023?",
            (known.fact("EV-T01", "2025"), known.fact("EV-T04", "2023")),
        ),
        Question(
            "eu-points-needed",
            "market",
            "How many public charging points will the EU need by 2030, and how far apart are the estimates?",
            tuple(known.fact(each, "2030") for each in ("EV-P06", "EV-P07", "EV-P08")),
        ),
        Question(
            "uk-grant",
            "market",
            "How high is the grant for a home chargepoint in the United Kingdom, and how high was it before?",
            (known.fact("EV-H07", "GBP"), known.fact("EV-H08", "GBP")),
        ),
    ]


def _sales(known: Truth) -> list[Question]:
    return [
        Question(
            "germany-revenue",
            "sales",
            "How did Voltbay's revenue in Germany develop from 2023 to 2025?",
            (
                *(known.sold(_revenue("Germany", year), "EUR") for year in (2023, 2024, 2025)),
                *(known.sold(_change("Germany", year), "% change", str(year)) for year in (2024, 2025)),
            ),
        ),
        Question(
            "recalled-units",
            "sales",
            "How many units of the Voltbay Home 22 did we sell in the third quarter of 2022 and of 2023?",
            tuple(known.sold(_units("Voltbay Home 22", quarter), "units") for quarter in ("2022-Q3", "2023-Q3")),
        ),
        Question(
            "online-share",
            "sales",
            "What share of our revenue came from the online shop in 2025?",
            (
                known.sold(
                    "SELECT 100 * sum(revenue_eur) FILTER (WHERE channel = 'Online shop') / sum(revenue_eur) "
                    "FROM sales WHERE year = '2025'",
                    "%",
                    "online shop",
                ),
            ),
        ),
        Question(
            "italy-target",
            "sales",
            "Did we hit our target in Italy in 2025?",
            (
                known.sold(_revenue("Italy", 2025), "EUR"),
                known.sold(
                    "SELECT 100 * (SELECT sum(revenue_eur) FROM sales WHERE country = 'Italy' AND year = '2025') "
                    "/ (SELECT sum(target_eur) FROM targets WHERE country = 'Italy' AND month LIKE '2025-%')",
                    "%",
                    "target",
                ),
            ),
        ),
        Question(
            "dutch-customer",
            "sales",
            "Which customer in the Netherlands brought the most revenue in 2023, and how much?",
            (
                known.sold(
                    "SELECT sum(revenue_eur) FROM sales WHERE country = 'Netherlands' AND year = '2023' "
                    "GROUP BY customer_id ORDER BY 1 DESC LIMIT 1",
                    "EUR",
                    "Kanaal Express",
                ),
            ),
        ),
        Question(
            "wholesale-discount",
            "sales",
            "By how many points did our average discount in wholesale rise from the second to the third quarter of "
            "2024?",
            (
                known.sold(
                    "SELECT avg(discount_pct) FILTER (WHERE quarter = '2024-Q3') "
                    "- avg(discount_pct) FILTER (WHERE quarter = '2024-Q2') FROM sales WHERE channel = 'Wholesale'",
                    "% points",
                    "point",
                ),
            ),
        ),
        Question(
            "fastest-country",
            "sales",
            "In which country did our revenue grow fastest from 2022 to 2025, and by how many percent?",
            (
                known.sold(
                    "SELECT 100 * max(change) FROM (SELECT sum(revenue_eur) FILTER (WHERE year = '2025') "
                    "/ sum(revenue_eur) FILTER (WHERE year = '2022') - 1 AS change FROM sales GROUP BY country)",
                    "% change",
                    "United Kingdom",
                ),
            ),
        ),
    ]


def _both(known: Truth) -> list[Question]:
    return [
        Question(
            "uk-growth-and-share",
            "both",
            "How did our revenue in the United Kingdom change from 2024 to 2025, and what share of new cars there was "
            "battery-electric in 2025?",
            (
                known.sold(_change("United Kingdom", 2025), "% change", "revenue", "2025"),
                known.fact("EV-S36", "battery-electric", "2025"),
            ),
        ),
        Question(
            "italy-revenue-and-cars",
            "both",
            "What was Voltbay's revenue in Italy in 2025, and how many battery-electric cars were registered there?",
            (known.sold(_revenue("Italy", 2025), "EUR"), known.fact("EV-S27")),
        ),
        Question(
            "netherlands-revenue-and-points",
            "both",
            "What was our revenue in the Netherlands in 2024, and how many public charging points did the country "
            "have?",
            (known.sold(_revenue("Netherlands", 2024), "EUR"), known.fact("EV-P09")),
        ),
        Question(
            "germany-growth-compared",
            "both",
            "Did Voltbay's revenue in Germany grow faster in 2025 than the German market for battery-electric cars?",
            (
                known.sold(_change("Germany", 2025), "% change", "2025"),
                known.fact("EV-S21", "2025"),
                known.fact("EV-S22", "2025"),
            ),
        ),
    ]


def _forecast(known: Truth) -> list[Question]:
    return [
        Question(
            "germany-forecast",
            "forecast",
            "What revenue can Voltbay expect in Germany in 2026?",
            (known.came_to_be(_revenue("Germany", 2026), "EUR", "2026"),),
        ),
        Question(
            "total-forecast",
            "forecast",
            "Forecast our total revenue in 2026.",
            (known.came_to_be("SELECT sum(revenue_eur) FROM sales WHERE year = '2026'", "EUR", "2026"),),
        ),
        Question(
            "launch-forecast",
            "forecast",
            "How many units of the Voltbay Home Flex will we sell in 2026?",
            (
                known.came_to_be(
                    "SELECT sum(units) FROM sales WHERE product = 'Voltbay Home Flex' AND year = '2026'",
                    "units",
                    "2026",
                ),
            ),
        ),
    ]


def _unanswerable() -> list[Question]:
    return [
        Question("no-such-country", "unanswerable", "What was Voltbay's revenue in Japan in 2024?", gap=("Japan",)),
        Question(
            "no-such-figure",
            "unanswerable",
            "What was our profit margin in France in 2024?",
            gap=("profit", "margin"),
        ),
        Question(
            "no-such-market", "unanswerable", "How many electric cars were sold in Brazil in 2024?", gap=("Brazil",)
        ),
        Question("no-such-year", "unanswerable", "What was our revenue in Sweden in 2019?", gap=("2019",)),
    ]


def _revenue(country: str, year: int) -> str:
    return f"SELECT sum(revenue_eur) FROM sales WHERE country = '{country}' AND year = '{year}'"


def _change(country: str, year: int) -> str:
    return f"SELECT 100 * (({_revenue(country, year)}) / ({_revenue(country, year - 1)}) - 1)"


def _units(product: str, quarter: str) -> str:
    return f"SELECT sum(units) FROM sales WHERE product = '{product}' AND quarter = '{quarter}'"
