"""The files of a finished job: the report, and every piece of evidence it cites."""

import asyncio
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from app.config.folders import private
from app.jobs.records import JOB_ID, Records
from graphs.evidence.rendering import EVIDENCE_FOLDER, about, rendered
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.state import Report, ResearchState

REPORT = "report.md"


_JOB = re.compile(JOB_ID, re.ASCII)


class ReportFolder:
    """Writes `<root>/<job>/report.md` and `<root>/<job>/evidence/E1.md`, charts as `E1.svg`.

    Args:
        root: the folder of all reports.
        store: the evidence store.
        ttl_seconds: how long a job and its files are kept after its last change.
        notice: says in the report what wrote it, if that is not obvious.
    """

    def __init__(self, root: Path, store: EvidenceStore, *, ttl_seconds: int, notice: str = "") -> None:
        self.root = root
        self._ttl = ttl_seconds
        self._store = store
        self._notice = notice

    def text(self, state: ResearchState, report: Report) -> str:
        """The report as Markdown."""
        return rendered(state, report, self._notice)

    async def write(self, state: ResearchState, report: Report) -> Path:
        """Write or rewrite the job's folder; return the path of the report."""
        evidence = await self._store.many(state["job_id"], state["evidence"])
        return await asyncio.to_thread(self._write, state, self.text(state, report), evidence)

    async def tidy(self, records: Records) -> None:
        """Remove the files of expired jobs: without a record, and old enough, so that switching or losing the store
        deletes no reports."""
        for job_id in await records.gone(await asyncio.to_thread(lambda: list(self._old()))):
            await asyncio.to_thread(shutil.rmtree, self.root / job_id, ignore_errors=True)

    def _old(self) -> Iterator[str]:
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            if _JOB.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
                try:
                    written = (folder / REPORT).stat().st_mtime
                except FileNotFoundError:  # it was interrupted, or is being written
                    written = folder.stat().st_mtime
                if written + self._ttl < time.time():
                    yield folder.name

    def _write(self, state: ResearchState, text: str, evidence: dict[str, Evidence]) -> Path:
        folder = private(self.root) / state["job_id"]
        private(folder / EVIDENCE_FOLDER)
        for evidence_id, each in evidence.items():
            (folder / EVIDENCE_FOLDER / f"{evidence_id}.md").write_text(_told(evidence_id, each), encoding="utf-8")
            if each.svg:
                (folder / EVIDENCE_FOLDER / f"{evidence_id}.svg").write_text(each.svg, encoding="utf-8")
        report = folder / REPORT
        report.write_text(text, encoding="utf-8")
        return report


def _told(evidence_id: str, evidence: Evidence) -> str:
    asked = json.dumps(evidence.arguments, ensure_ascii=False).replace("`", "'")
    head = f"# {evidence_id}: {evidence.server}.{evidence.tool}\n\nAsked with `{asked}`: {about(evidence)}."
    longest = max((len(each) for each in re.findall("`{3,}", evidence.text)), default=2)
    fence = "`" * (longest + 1)  # longer than any in the text
    return f"{head}\n\n{fence}\n{evidence.text}\n{fence}\n"
