"""Questions on which published estimates contradict each other: a right answer states all of them."""

from evals.questions import Question
from sample.truth import Truth


def questions(known: Truth) -> list[Question]:
    """Each answered by several rows of the fact sheet. Some ask for the contradiction, others do not know of it."""
    return [
        Question(
            "germany-charging-points",
            "contradictory",
            "How many public charging points does Germany have, and do sources agree?",
            tuple(known.fact(each) for each in ("EV-P10", "EV-P11", "EV-P12")),
            parts=("points Germany/German", "but/yet/while/disagree/only/beside"),
        ),
        Question(
            "eu-points-needed",
            "contradictory",
            "How many public charging points will the EU need by 2030, and how far apart are the estimates?",
            tuple(known.fact(each, "2030") for each in ("EV-P06", "EV-P07", "EV-P08")),
            parts=("points 2030", "range/apart/differ/from"),
        ),
        Question(
            "germany-registrations-growth",
            "contradictory",
            "By how much did registrations of battery-electric cars in Germany grow in 2025?",
            (known.fact("EV-S21", "2025"), known.fact("EV-S22", "2025")),
            parts=("Germany/German 2025",),
        ),
        Question(
            "france-registrations",
            "contradictory",
            "How many electric cars were newly registered in France in 2024?",
            (known.fact("EV-S24", "2024"), known.fact("EV-S25", "2024")),
            parts=("France/French 2024",),
        ),
        Question(
            "uk-share",
            "contradictory",
            "What was the battery-electric share of new cars in the UK in 2025, and do all sources say the same?",
            (known.fact("EV-S36", "share"), known.fact("EV-S37", "share")),
            parts=("UK share 2025",),
        ),
        Question(
            "china-sales",
            "contradictory",
            "How many electric cars were sold in China in 2024?",
            (known.fact("EV-S05", "2024"), known.fact("EV-S06", "2024")),
            parts=("China 2024",),
        ),
        Question(
            "us-sales",
            "contradictory",
            "How many electric cars were sold in the United States in 2024, and which counts are there?",
            (known.fact("EV-S10", "2024"), known.fact("EV-S11", "2024")),
            parts=("US/States 2024",),
        ),
        Question(
            "market-size",
            "contradictory",
            "How big was the world market for EV charging in 2025?",
            tuple(known.fact(each, "2025", "USD") for each in ("EV-M01", "EV-M02", "EV-M03", "EV-M04")),
            parts=("market 2025 USD",),
        ),
        Question(
            "share-in-2035",
            "contradictory",
            "Which share of new cars worldwide do forecasters expect to be electric in 2035?",
            tuple(known.fact(each, "2035") for each in ("EV-M14", "EV-M15", "EV-M16")),
            parts=("2035",),
        ),
        Question(
            "pod-point-revenue",
            "contradictory",
            "What was Pod Point's revenue in 2024, and are there other figures?",
            (known.fact("EV-C17", "2024"), known.fact("EV-C18", "2024")),
            parts=("Pod Point revenue 2024",),
        ),
        Question(
            "fast-share",
            "contradictory",
            "Which share of the EU's public charging points were fast chargers at the end of 2023?",
            (known.fact("EV-P02", "fast"), known.fact("EV-P03", "fast")),
            parts=("fast 2023 share/%",),
        ),
        Question(
            "wallbox-debt",
            "contradictory",
            "How much debt did Wallbox refinance in December 2025?",
            (known.fact("EV-C03", "EUR"), known.fact("EV-C04", "EUR")),
            parts=("debt/liabilities/refinanc",),
        ),
    ]
