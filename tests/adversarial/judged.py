"""Jobs over one deployment, and what must be true of each of them, whatever was asked."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.config.settings import Settings
from app.jobs.results import JobResult
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.report_text import answer, uncarried
from graphs.research import build_research_graph
from graphs.stop_reasons import StopReason
from tests.graphs.untrusted.test_inert import LIVE

AT_A_TIME = 2
HONEST = {
    "completed": {StopReason.ANSWERED, StopReason.NOT_IN_DATA},
    "partial": set(StopReason) - {StopReason.ANSWERED, StopReason.NOT_IN_DATA},
    "failed": {StopReason.REFUSED},
}


@dataclass(frozen=True)
class Ended:
    """A job that has ended, with its report ("" if there is none)."""

    question: str
    result: JobResult
    report: str

    @property
    def said(self) -> str:
        """The report's answer, without the question, gaps and sources."""
        return answer(self.report)

    @property
    def claims(self) -> list[str]:
        return [each["claim"] for each in self.result.findings]

    @property
    def gaps(self) -> str:
        return "\n".join(self.result.gaps)


def faults(ended: Ended) -> list[str]:
    """What no job may do: state what no evidence has, spend more than it may, end as what it is not."""
    result, folder = ended.result, Path(ended.result.report_path or "/nowhere/report.md").parent
    looked, told = bool(result.evidence), result.stop_reason
    strange = ended.report
    for source in {each["source"]["url"] for each in result.evidence if each["source"]}:  # these may be links
        strange = strange.replace(source, "") if source else strange
    found = [f"no evidence carries {each}" for each in uncarried(ended.report, folder, ended.question)]
    checks = {
        f"{result.status} is not {told}": told in HONEST[result.status],
        "answered without a finding": told != StopReason.ANSWERED or bool(result.findings),
        "not in the data, which nobody asked": told != StopReason.NOT_IN_DATA or looked,
        "not in the data, without saying what is not": told != StopReason.NOT_IN_DATA or bool(result.gaps),
        "the budget is passed": result.cost_usd + result.reserved_usd <= result.budget_usd and result.reserved_usd == 0,
        "something in the report is live": not LIVE.search(strange),
        "a terminal would obey the report": not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e]", ended.report),
    }
    return found + [fault for fault, holds in checks.items() if not holds]


async def asked(
    settings: Settings, redis_url: str, addresses: Addresses, questions: Iterable[str]
) -> Mapping[str, Ended]:
    """Each question as a job of the team, by its text."""
    free = asyncio.Semaphore(AT_A_TIME)
    async with opened(settings, redis_url, addresses, lambda _: None, build_research_graph) as jobs:

        async def one(question: str) -> tuple[str, JobResult]:
            async with free:
                return question, await jobs.run(await jobs.create(question, settings.limits), lambda _: None)

        results = await asyncio.gather(*map(one, questions))
    return {question: Ended(question, result, _report(result)) for question, result in results}


def _report(result: JobResult) -> str:
    return Path(result.report_path).read_text(encoding="utf-8") if result.report_path else ""
