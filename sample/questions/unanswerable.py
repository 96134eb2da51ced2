"""Questions that neither the sales nor the documents answer: a right answer names the gap and states no number."""

from evals.questions import Question


def questions() -> list[Question]:
    """Each with the words of which the gap must name one."""
    return [
        Question("no-such-country", "unanswerable", "What was Voltbay's revenue in Japan in 2024?", gap=("Japan",)),
        Question(
            "no-such-figure", "unanswerable", "What was our profit margin in France in 2024?", gap=("profit", "margin")
        ),
        Question(
            "no-such-market", "unanswerable", "How many electric cars were sold in Brazil in 2024?", gap=("Brazil",)
        ),
        Question("no-such-year", "unanswerable", "What was our revenue in Sweden in 2019?", gap=("2019",)),
        Question(
            "no-such-product",
            "unanswerable",
            "How many units of the Voltbay Turbo 50 did we sell in 2024?",
            gap=("Turbo 50",),
        ),
        Question(
            "no-such-channel", "unanswerable", "What was our revenue on Amazon in Germany in 2025?", gap=("Amazon",)
        ),
        Question(
            "no-staff", "unanswerable", "How many employees did Voltbay have at the end of 2025?", gap=("employee",)
        ),
        Question(
            "no-satisfaction",
            "unanswerable",
            "How satisfied were our customers in Italy with the Home 11 in 2025?",
            gap=("satisf",),
        ),
        Question(
            "no-advertising",
            "unanswerable",
            "How much did we spend on advertising in the United Kingdom in 2025?",
            gap=("advertis",),
        ),
        Question(
            "no-such-charging-network",
            "unanswerable",
            "How many public charging points does Australia have?",
            gap=("Australia",),
        ),
        Question(
            "no-such-electricity-price",
            "unanswerable",
            "What did household electricity cost in Switzerland in the first half of 2025?",
            gap=("Switzerland",),
        ),
        Question(
            "no-hydrogen",
            "unanswerable",
            "How many hydrogen filling stations were there in Germany in 2025?",
            gap=("hydrogen",),
        ),
    ]
