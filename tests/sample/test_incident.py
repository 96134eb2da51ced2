"""The team without guards of `make incident` is an honest opponent."""

import pytest
from openai import DefaultAsyncHttpxClient

from app.running.processes import Addresses
from evals.incident.drills import REVENUE
from evals.incident.unguarded import Team


@pytest.mark.slow
async def test_the_unguarded_team_answers_when_nothing_goes_wrong(addresses: Addresses) -> None:
    async with DefaultAsyncHttpxClient() as http:
        report = await Team(addresses.model, addresses.servers, http).answer(REVENUE)
    assert "Voltbay's revenue rose by 15.8% in 2025, to EUR 110,359,405." in report.splitlines()
