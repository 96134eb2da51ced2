"""Questions about the market: what published sources say, where they agree."""

from evals.questions import Question
from sample.truth import Truth


def questions(known: Truth) -> list[Question]:
    """Each answered by rows of the fact sheet."""
    return [
        Question(
            "eu-registrations",
            "market",
            "How many battery-electric cars were newly registered in the EU in 2025, and what was their share?",
            (known.fact("EV-S18"), known.fact("EV-S19", "EU", "2025")),
            parts=("EU 2025 registered/registrations", "EU 2025 share"),
        ),
        Question(
            "norway-share",
            "market",
            "What share of new cars in Norway was electric in 2024 and in 2025?",
            (known.fact("EV-S30", "2024"), known.fact("EV-S31", "2025")),
            parts=("Norway 2024", "Norway 2025"),
        ),
        Question(
            "battery-prices",
            "market",
            "What did lithium-ion battery packs cost per kWh in 2025, and how much in 2023?",
            (known.fact("EV-T01", "2025"), known.fact("EV-T04", "2023")),
            parts=("kWh 2025", "kWh 2023"),
        ),
        Question(
            "uk-grant",
            "market",
            "How high is the grant for a home chargepoint in the United Kingdom, and how high was it before?",
            (known.fact("EV-H07", "GBP"), known.fact("EV-H08", "GBP")),
            parts=("grant 2026", "grant before"),
        ),
        Question(
            "spain-registrations",
            "market",
            "How many fully electric passenger cars were registered in Spain in 2025?",
            (known.fact("EV-S28"),),
            parts=("Spain/Spanish 2025",),
        ),
        Question(
            "germany-share",
            "market",
            "What share of new cars in Germany was battery-electric in 2025?",
            (known.fact("EV-S23", "2025"),),
            parts=("Germany/German 2025 share/%",),
        ),
        Question(
            "eu-direct-current",
            "market",
            "How many public charging points did the EU have in July 2025, and how many of them were direct-current?",
            (known.fact("EV-P04"), known.fact("EV-P05")),
            parts=("public 2025 points", "DC/direct-current"),
        ),
        Question(
            "uk-charge-points",
            "market",
            "How many public charge points did the UK have at the end of 2024 and at the end of 2025?",
            (known.fact("EV-P13", "2024"), known.fact("EV-P14", "2025")),
            parts=("UK 2024", "UK 2025"),
        ),
        Question(
            "household-electricity",
            "market",
            "What did household electricity cost in Germany in the first half of 2025, and what in the EU on average?",
            (known.fact("EV-E06", "Germany"), known.fact("EV-E01", "EU")),
            parts=("Germany 100 kWh", "EU 100 kWh"),
        ),
        Question(
            "zaptec-quarter",
            "market",
            "What revenue did Zaptec report for the second quarter of 2025?",
            (known.fact("EV-C12", "Zaptec"),),
            parts=("Zaptec revenue",),
        ),
        Question(
            "charging-at-home",
            "market",
            "Which share of European drivers said in 2025 that they usually charge at home?",
            (known.fact("EV-H01", "home"),),
            parts=("home 2025",),
        ),
        Question(
            "power-per-car",
            "market",
            "How much public charging power must a member state provide for each battery-electric car under AFIR?",
            (known.fact("EV-R02", "kW"),),
            parts=("AFIR/Regulation kW",),
        ),
    ]
