"""Where a job can stand, and the forms in which its report can be had: for whoever only talks about jobs, because the
record of a job is slow to import."""

from typing import Literal

Status = Literal["queued", "running", "awaiting_human", "completed", "partial", "failed", "cancelled", "dead"]
TERMINAL: frozenset[Status] = frozenset({"completed", "partial", "failed", "cancelled", "dead"})

Format = Literal["md", "html", "pdf", "json"]

MEDIA: dict[Format, str] = {  # media types
    "md": "text/markdown",
    "html": "text/html",
    "pdf": "application/pdf",
    "json": "application/json",
}
