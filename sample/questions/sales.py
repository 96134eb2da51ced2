"""Questions about the company's own sales."""

from evals.questions import Question
from sample.questions.sql import change, revenue, share, units
from sample.truth import Truth


def questions(known: Truth) -> list[Question]:
    """Each answered by SQL over the sales."""
    return [
        Question(
            "germany-revenue",
            "sales",
            "How did Voltbay's revenue in Germany develop from 2023 to 2025?",
            (
                *(known.sold(revenue("Germany", year), "EUR") for year in (2023, 2024, 2025)),
                *(known.sold(change("Germany", year), "% change", str(year)) for year in (2024, 2025)),
            ),
            parts=("Germany 2023", "Germany 2024", "Germany 2025"),
        ),
        Question(
            "recalled-units",
            "sales",
            "How many units of the Voltbay Home 22 did we sell in the third quarter of 2022 and of 2023?",
            tuple(
                known.sold(units("Voltbay Home 22", quarter, "quarter"), "units") for quarter in ("2022-Q3", "2023-Q3")
            ),
            parts=("Home 22 2022", "Home 22 2023"),
        ),
        Question(
            "online-share",
            "sales",
            "What share of our revenue came from the online shop in 2025?",
            (known.sold(share("channel = 'Online shop'", 2025), "%", "online shop"),),
            parts=("online share/%",),
        ),
        Question(
            "italy-target",
            "sales",
            "Did we hit our target in Italy in 2025?",
            (
                known.sold(revenue("Italy", 2025), "EUR"),
                known.sold(
                    "SELECT 100 * (SELECT sum(revenue_eur) FROM sales WHERE country = 'Italy' AND year = '2025') "
                    "/ (SELECT sum(target_eur) FROM targets WHERE country = 'Italy' AND month LIKE '2025-%')",
                    "%",
                    "target",
                ),
            ),
            parts=("target Italy",),
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
            parts=("customer 2023",),
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
            parts=("discount wholesale",),
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
            parts=("2022 2025",),
        ),
        Question(
            "home-chargers-germany",
            "sales",
            "By how many percent did our revenue with home chargers in Germany change from 2023 to 2024?",
            (
                known.sold(
                    "SELECT 100 * (sum(revenue_eur) FILTER (WHERE year = '2024') "
                    "/ sum(revenue_eur) FILTER (WHERE year = '2023') - 1) "
                    "FROM sales WHERE country = 'Germany' AND category = 'home'",
                    "% change",
                    "home",
                ),
            ),
            parts=("home Germany 2024",),
        ),
        Question(
            "french-associations",
            "sales",
            "How much revenue did we make with housing associations in France in 2024 and in 2025?",
            tuple(
                known.sold(f"{revenue('France', year)} AND segment = 'Housing association'", "EUR", str(year))
                for year in (2024, 2025)
            ),
            parts=("housing 2024", "housing 2025"),
        ),
        Question(
            "best-product",
            "sales",
            "Which product brought the most revenue in 2025, and how much was it?",
            (
                known.sold(
                    "SELECT sum(revenue_eur) FROM sales WHERE year = '2025' GROUP BY product ORDER BY 1 DESC LIMIT 1",
                    "EUR",
                    "Work Duo",
                ),
            ),
            parts=("product/Voltbay 2025",),
        ),
        Question(
            "recall-refunds",
            "sales",
            "How much money did we refund to customers in 2023 because of the recall?",
            (
                known.sold(
                    "SELECT sum(refund_eur) FROM returns WHERE reason = 'Recall' AND year(return_date) = 2023",
                    "EUR",
                    "recall",
                ),
            ),
            parts=("refund recall",),
        ),
        Question(
            "orders-in-spain",
            "sales",
            "How many orders did we get from Spain in 2024 and in 2025?",
            tuple(
                known.sold(
                    f"SELECT count(DISTINCT order_id) FROM sales WHERE country = 'Spain' AND year = '{year}'",
                    "orders",
                    str(year),
                )
                for year in (2024, 2025)
            ),
            parts=("Spain 2024", "Spain 2025"),
        ),
    ]
