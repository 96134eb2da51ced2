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
from graphs.evidence.rendering import EVIDENCE_FOLDER, Parts, about, parts, rendered
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
        self.notice = notice

    def text(self, state: ResearchState, report: Report) -> str:
        """The report as Markdown."""
        return rendered(state, report, self.notice)

    def parts(self, state: ResearchState, report: Report) -> Parts:
        """What its other forms say."""
        return parts(state, report, self.notice)

    async def write(self, state: ResearchState, report: Report) -> Path:
        """Write or rewrite the job's folder; return the path of the report."""
        evidence = await self._store.many(state["job_id"], state["evidence"])
        return await asyncio.to_thread(self._write, state, self.text(state, report), evidence)

    async def remove(self, job_id: str) -> None:
        """Remove the job's folder, if there is one."""
        await asyncio.to_thread(shutil.rmtree, self.root / job_id, ignore_errors=True)

    async def tidy(self, records: Records) -> None:
        """Remove the files of jobs without a record that were deleted, or are old enough to have expired: switching or
        losing the store deletes no reports."""
        deleted = set(await records.deleted(self._ttl))
        folders = await asyncio.to_thread(lambda: list(self._folders()))
        for job_id in await records.gone([job_id for job_id, is_old in folders if is_old or job_id in deleted]):
            await self.remove(job_id)

    def _folders(self) -> Iterator[tuple[str, bool]]:
        """Each job with a folder, and whether that is older than an expired job's."""
        if not self.root.is_dir():
            return
        for folder in self.root.iterdir():
            if _JOB.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir():
                try:
                    written = (folder / REPORT).stat().st_mtime
                except FileNotFoundError:  # it was interrupted, or is being written
                    written = folder.stat().st_mtime
                yield folder.name, written + self._ttl < time.time()

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
