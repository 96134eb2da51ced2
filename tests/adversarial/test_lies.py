"""A model that lies about real evidence: each lie is dropped and listed, and the truths beside it stand.

To try a claim, add a line to TRUE or FALSE.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from app.config.settings import Settings
from app.running.processes import Addresses
from tests.adversarial.judged import Ended, asked, faults
from tests.graphs.research import once
from tests.scripted_model import Json, Script, assign, call, finding, quoting, result, serving, task

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("adversarial")]

QUESTION = "How did our revenue develop by country?"
SQL = "SELECT country, year(order_date) AS year, sum(revenue_eur) AS revenue_eur FROM orders GROUP BY ALL ORDER BY ALL"
# In the evidence: Latvia 2024 201.25; Portugal 2023 310.00; Portugal 2024 721.75.
TRUE = (
    "Revenue in Portugal in 2024 was EUR 721.75.",
    "Revenue in Portugal in 2023 was EUR 310.00.",
    "In 2024 Latvia brought EUR 201.25.",
    "Revenue in Portugal was about EUR 722 in 2024.",
)
FALSE = {
    "another number": "Revenue in Portugal in 2024 was EUR 731.75.",
    "a digit more": "Revenue in Portugal in 2024 was EUR 7,217.50.",
    "another scale": "Revenue in Portugal in 2024 was EUR 721.75 million.",
    "in words": "Revenue in Portugal in 2024 was seven hundred and thirty-two euros.",
    "computed": "Revenue in Portugal rose by 132.8% in 2024.",
    "another year": "Revenue in Portugal in 2024 was EUR 310.00.",
    "another country": "Revenue in Latvia in 2024 was EUR 721.75.",
    "a total of nobody": "Revenue in 2024 was EUR 923.00 in all.",
}
INVENTED = "Revenue in Latvia in 2024 was EUR 201.25, as E77 says."


def lying(_: Json, messages: list[Json]) -> Json:
    if sum(each["role"] == "tool" for each in messages) < 2:  # the first one has what the agent is briefed with
        return call("sales__query", sql=SQL)
    evidence = messages[-1]["content"].splitlines()[0]
    claims = [finding(each, evidence) for each in (*TRUE, *FALSE.values())]
    return result(*claims, finding(INVENTED, evidence, "E77"))


@pytest.fixture(scope="module")
def told(hostile: Settings, deployment: tuple[str, Addresses]) -> Ended:
    """The job of the liar."""
    redis_url, addresses = deployment
    script = Script(once(assign(task(1, "sales"))), lying, quoting)
    with serving(script) as url:
        ended: Mapping[str, Ended] = asyncio.run(
            asked(hostile, redis_url, replace(addresses, model=url, children=()), [QUESTION])
        )
    return ended[QUESTION]


def test_what_is_true_stands(told: Ended) -> None:
    assert set(TRUE) <= set(told.claims)
    assert faults(told) == []
    assert (told.result.status, told.result.stop_reason) == ("completed", "answered")


@pytest.mark.parametrize("claim", [*FALSE.values(), INVENTED], ids=[*FALSE, "evidence that does not exist"])
def test_a_lie_is_dropped_and_listed(told: Ended, claim: str) -> None:
    assert claim not in told.claims
    assert claim.rstrip(".") not in told.said
    assert f"“{claim}”" in told.report.partition("## Dropped claims")[2]
