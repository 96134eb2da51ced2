"""Secrets in a question, in what a tool returns and in an error reach neither spans, log lines nor metrics; contents
reach spans if that is switched on, and then without secrets."""

import signal
from pathlib import Path

import httpx
import pytest

from app.stand_in.faults.profile import Failure, Profile
from app.stand_in.wire import error_body
from tests.app.observing.test_one_trace import server
from tests.app.queued import deployment, ended, order, submitted
from tests.app.test_injected_page import HEAD
from tests.collector import collecting

KEY, ADDRESS, CARD = "sk-proj-a1B2c3D4e5F6g7H8i9J0", "jane.doe@example.org", "4111 1111 1111 1111"
ASKED, TOLD = "quaintly", "flamboyantly"  # words of the question, and of the document
SECRETS = f"{ADDRESS}, key {KEY}, card {CARD}"
QUESTION = f"How many public charging points does Germany {ASKED} have? I am {SECRETS}."
PAGE = f"{HEAD}Germany {TOLD} had 154,037 public charging points at the end of 2024.\n\nPaid by {SECRETS}\n"
WAIT = Failure(429, error_body(f"Too fast: {SECRETS}", "requests", None), {"retry-after": "1"})
BUSY_AT_FIRST = Profile("refuses the first request", failure=lambda number: WAIT if number == 1 else None)


@pytest.mark.slow
async def test_contents_are_on_spans_only_if_wanted_and_secrets_nowhere(tmp_path: Path, beside: dict[str, str]) -> None:
    servers = {name: url for name, url in beside.items() if name.startswith("MCP")}
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "germany.md").write_text(PAGE)
    said: list[str] = []
    counted: list[str] = []
    with (
        collecting() as collector,
        server(collector, "knowledge_base", "--data", str(tmp_path / "documents"), "--data-dir", str(tmp_path)) as url,
        deployment(tmp_path, BUSY_AT_FIRST) as here,
    ):
        given = {**servers, "MCP__KNOWLEDGE_BASE__URL": url, **collector.variables}
        captured = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
        async with here.service() as service:

            async def exported(**options: str) -> bytes:
                collector.bodies.clear()
                job_id = (await submitted(service, order(here.settings, QUESTION)))[0].job_id
                with here.worker(signal.SIGTERM, "--metrics-port", "0", said=said, **given, **options):
                    assert (await ended(service, job_id)).status == "completed"
                    own = next(line for line in reversed(said) if "metrics at" in line).rpartition(" ")[2].strip()
                    async with httpx.AsyncClient() as client:
                        of_all = [await client.get(each) for each in (own, url.replace("/mcp", "/metrics"))]
                    counted.extend(each.raise_for_status().text for each in of_all)
                return b"".join(collector.bodies)

            without, with_contents = await exported(), await exported(**captured)
    for each in (KEY, ADDRESS, CARD, CARD.replace(" ", "")):
        assert each.encode() not in without + with_contents
        assert not any(each in line for line in said + counted)
    for each in (ASKED, TOLD):
        assert each.encode() not in without
        assert each.encode() in with_contents
        assert not any(each in line for line in said + counted)
    assert any('tollgate_agent_tasks_total{agent="researcher"' in text for text in counted)
    first, second = collector.named("invoke_workflow research")
    assert first.trace != second.trace
    assert {each.trace for each in collector.spans} == {first.trace, second.trace}, "the first run began the trace"
    (refused,) = [each for each in collector.named("chat gpt-5-nano") if each.failed]
    assert refused.attributes["error.type"] == "RateLimitError"
    (warned,) = [line for line in said if "supervisor waits 1 s" in line]
    assert f"[{first.attributes['gen_ai.conversation.id']} trace {first.trace}]" in warned
