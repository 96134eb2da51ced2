"""What a finished job leaves on disk: the report, and beside it every piece of evidence it cites."""

import asyncio
import json
import re
from pathlib import Path

from graphs.evidence import Evidence, EvidenceStore
from graphs.rendering import EVIDENCE_FOLDER, about, rendered
from graphs.state import Report, ResearchState


class ReportFolder:
    """Writes `<root>/<job>/report.md` and `<root>/<job>/evidence/E1.md`, charts as `E1.svg`.

    Args:
        root: the folder of all reports.
        store: where the evidence is.
        notice: says in the report what wrote it, where that is not obvious.
    """

    def __init__(self, root: Path, store: EvidenceStore, *, notice: str = "") -> None:
        self.root = root
        self._store = store
        self._notice = notice

    def text(self, state: ResearchState, report: Report) -> str:
        """The report as Markdown."""
        return rendered(state, report, self._notice)

    async def write(self, state: ResearchState, report: Report) -> Path:
        """Write or rewrite the job's folder; the path of the report is returned."""
        evidence = await self._store.many(state["job_id"], state["evidence"])
        return await asyncio.to_thread(self._write, state, self.text(state, report), evidence)

    def _write(self, state: ResearchState, text: str, evidence: dict[str, Evidence]) -> Path:
        folder = self.root / state["job_id"]
        (folder / EVIDENCE_FOLDER).mkdir(parents=True, exist_ok=True)
        for evidence_id, each in evidence.items():
            (folder / EVIDENCE_FOLDER / f"{evidence_id}.md").write_text(_told(evidence_id, each), encoding="utf-8")
            if each.svg:
                (folder / EVIDENCE_FOLDER / f"{evidence_id}.svg").write_text(each.svg, encoding="utf-8")
        report = folder / "report.md"
        report.write_text(text, encoding="utf-8")
        return report


def _told(evidence_id: str, evidence: Evidence) -> str:
    asked = json.dumps(evidence.arguments, ensure_ascii=False).replace("`", "'")
    head = f"# {evidence_id}: {evidence.server}.{evidence.tool}\n\nAsked with `{asked}`: {about(evidence)}."
    longest = max((len(each) for each in re.findall("`{3,}", evidence.text)), default=2)
    fence = "`" * (longest + 1)  # nothing in the text ends it
    return f"{head}\n\n{fence}\n{evidence.text}\n{fence}\n"
