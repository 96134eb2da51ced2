"""What a model provider says of an error is for whoever runs the service, not for whoever ordered a job."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.running.processes import Addresses
from tests.app.queued import WAITS, deployment, ended, order, submitted
from tests.http_server import served

pytestmark = pytest.mark.slow

KEY = "opaque/Key+of 7 parts"  # of no known shape
HOST = "llm-7.corp.internal"
STATUSES = (400, 404, 413, 500)


@pytest.fixture
def gateway() -> Iterator[str]:
    """Answers every request with the status that its question names, and tells everything that it knows."""

    async def refuse(request: Request) -> JSONResponse:
        asked = (await request.body()).decode()
        status = next(each for each in STATUSES if f"question {each}" in asked)
        said = f"upstream https://{HOST}:8443/?k={quote(KEY)} refused {KEY}; status {status} zebra"
        return JSONResponse({"error": {"message": said, "type": "invalid_request_error"}}, status)

    with served(Starlette(routes=[Route("/v1/chat/completions", refuse, methods=["POST"])])) as url:
        yield f"{url}/v1"


async def test_tenants_are_told_the_kind_of_an_error_and_the_log_its_words(
    tmp_path: Path, gateway: str, addresses: Addresses
) -> None:
    said: list[str] = []
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            with here.worker(said=said, OPENAI_BASE_URL=gateway, OPENAI_API_KEY=KEY):
                jobs = {}
                for status in STATUSES:
                    wanted = order(here.settings, f"question {status}: what was the revenue in 2024?", outage_s=0)
                    jobs[status] = (await submitted(service, wanted))[0].job_id
                told = {}
                for status, job_id in jobs.items():
                    record = await ended(service, job_id, also=WAITS)
                    assert record.status == "awaiting_human"
                    await service.decide("acme", job_id, {"action": "finish_partial"}, None, "test")
                    record = await ended(service, job_id)
                    report = await service.jobs.report(record)
                    assert report
                    events = [each.data for each in await service.log.read(job_id, most=500)]
                    told[status] = json.dumps([record.model_dump(mode="json"), events, report[0]])
    log = "".join(said)
    for status, text in told.items():
        assert f"the model provider answered with status {status}" in text
        for others in (HOST, "zebra", KEY, quote(KEY)):
            assert others not in text
        line = next(each for each in said if jobs[status] in each and "zebra" in each)
        assert f"status {status}: upstream https://{HOST}:8443/?k=[secret] refused [secret]" in line
    assert KEY not in log
    assert quote(KEY) not in log
