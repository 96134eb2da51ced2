"""Questions that need the company's own sales and what published sources say."""

from evals.questions import Question
from sample.questions.sql import change, revenue, total, units
from sample.truth import Truth


def questions(known: Truth) -> list[Question]:
    """Each answered by SQL over the sales and by rows of the fact sheet."""
    return [
        Question(
            "uk-growth-and-share",
            "both",
            "How did our revenue in the United Kingdom change from 2024 to 2025, and what share of new cars there was "
            "battery-electric in 2025?",
            (
                known.sold(change("United Kingdom", 2025), "% change", "revenue", "2025"),
                known.fact("EV-S36", "battery-electric", "2025"),
            ),
            parts=("revenue 2025", "battery-electric 2025"),
        ),
        Question(
            "italy-revenue-and-cars",
            "both",
            "What was Voltbay's revenue in Italy in 2025, and how many battery-electric cars were registered there?",
            (known.sold(revenue("Italy", 2025), "EUR"), known.fact("EV-S27")),
            parts=("revenue Italy 2025", "cars Italy/Italian 2025"),
        ),
        Question(
            "netherlands-revenue-and-points",
            "both",
            "What was our revenue in the Netherlands in 2024, and how many public charging points did the country "
            "have?",
            (known.sold(revenue("Netherlands", 2024), "EUR"), known.fact("EV-P09")),
            parts=("revenue Netherlands 2024", "points Netherlands/Dutch"),
        ),
        Question(
            "germany-growth-compared",
            "both",
            "Did Voltbay's revenue in Germany grow faster in 2025 than the German market for battery-electric cars?",
            (
                known.sold(change("Germany", 2025), "% change", "2025"),
                known.fact("EV-S21", "2025"),
                known.fact("EV-S22", "2025"),
            ),
            parts=("revenue Germany 2025", "battery Germany/German 2025"),
        ),
        Question(
            "norway-revenue-and-share",
            "both",
            "What was our revenue in Norway in 2025, and what share of new cars there was electric?",
            (known.sold(revenue("Norway", 2025), "EUR"), known.fact("EV-S31", "2025")),
            parts=("revenue Norway 2025", "cars Norway 2025"),
        ),
        Question(
            "spain-growth-and-cars",
            "both",
            "By how many percent did our revenue in Spain grow in 2025, and how many fully electric cars were "
            "registered there that year?",
            (known.sold(change("Spain", 2025), "% change", "2025"), known.fact("EV-S28")),
            parts=("revenue Spain 2025", "registered/registrations/cars Spain/Spanish 2025"),
        ),
        Question(
            "france-revenue-and-points",
            "both",
            "What was Voltbay's revenue in France in 2025, and how many public charging points were there at the end "
            "of the year?",
            (known.sold(revenue("France", 2025), "EUR"), known.fact("EV-P15")),
            parts=("revenue France 2025", "points France/French 2025"),
        ),
        Question(
            "sweden-revenue-and-share",
            "both",
            "How much revenue did we make in Sweden in 2023, and how high was the electric share of new cars?",
            (known.sold(revenue("Sweden", 2023), "EUR"), known.fact("EV-S29", "2023")),
            parts=("revenue Sweden 2023", "cars Sweden 2023"),
        ),
        Question(
            "total-and-eu",
            "both",
            "Compare our total revenue of 2025 with the number of battery-electric cars registered in the EU then.",
            (known.sold(total(2025), "EUR", "2025"), known.fact("EV-S18")),
            parts=("revenue 2025", "EU 2025"),
        ),
        Question(
            "flex-and-points",
            "both",
            "How many units of the Voltbay Home Flex did we sell in 2025, and how many charging points will the EU "
            "need by 2030 according to the Commission and to ACEA?",
            (
                known.sold(units("Voltbay Home Flex", "2025"), "units", "Flex"),
                known.fact("EV-P06", "2030"),
                known.fact("EV-P07", "2030"),
            ),
            parts=("units Flex 2025", "Commission 2030", "ACEA 2030"),
        ),
    ]
