"""Questions about the year after the data end. Each is measured by what came to be."""

from evals.questions import Question
from sample.questions.sql import revenue, total, units
from sample.truth import Truth

_ONLINE = "SELECT sum(revenue_eur) FROM sales WHERE channel = 'Online shop' AND year = '2026'"


def questions(known: Truth) -> list[Question]:
    """Each answered by the sales that the sample's script generates for one year more."""

    def asked(name: str, text: str, sql: str, unit: str, *parts: str) -> Question:
        return Question(name, "forecast", text, (known.came_to_be(sql, unit, "2026"),), parts=parts)

    return [
        asked(
            "germany-forecast",
            "What revenue can Voltbay expect in Germany in 2026?",
            revenue("Germany", 2026),
            "EUR",
            "Germany 2026",
        ),
        asked("total-forecast", "Forecast our total revenue in 2026.", total(2026), "EUR", "revenue 2026"),
        asked(
            "launch-forecast",
            "How many units of the Voltbay Home Flex will we sell in 2026?",
            units("Voltbay Home Flex", "2026"),
            "units",
            "Flex 2026",
        ),
        asked(
            "uk-forecast",
            "How much revenue should we plan for in the United Kingdom next year, 2026?",
            revenue("United Kingdom", 2026),
            "EUR",
            "United Kingdom 2026",
        ),
        asked(
            "spain-forecast",
            "Predict our revenue in Spain for 2026, with an interval.",
            revenue("Spain", 2026),
            "EUR",
            "Spain 2026",
            "interval/between/range",
        ),
        asked(
            "france-forecast",
            "What is the outlook for Voltbay's revenue in France in 2026?",
            revenue("France", 2026),
            "EUR",
            "France 2026",
        ),
        asked(
            "online-forecast",
            "How much revenue will the online shop bring in 2026?",
            _ONLINE,
            "EUR",
            "online 2026",
        ),
        asked(
            "netherlands-forecast",
            "What will our revenue in the Netherlands be in 2026?",
            revenue("Netherlands", 2026),
            "EUR",
            "Netherlands 2026",
        ),
        asked(
            "italy-forecast",
            "How much revenue do we expect in Italy in 2026?",
            revenue("Italy", 2026),
            "EUR",
            "Italy 2026",
        ),
        asked(
            "home-11-forecast",
            "How many units of the Voltbay Home 11 can we expect to sell in 2026?",
            units("Voltbay Home 11", "2026"),
            "units",
            "Home 11 2026",
        ),
    ]
