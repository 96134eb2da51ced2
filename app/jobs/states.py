"""The statuses of a job and the formats of its report, apart from the record, which is slow to import."""

from typing import Literal, get_args

Status = Literal[
    "queued", "running", "suspended", "awaiting_human", "completed", "partial", "failed", "cancelled", "dead"
]
STATUSES: tuple[Status, ...] = get_args(Status)
WAITING: frozenset[Status] = frozenset({"suspended", "awaiting_human"})  # for another day, or for a human
TERMINAL: frozenset[Status] = frozenset({"completed", "partial", "failed", "cancelled", "dead"})

Format = Literal["md", "html", "pdf", "docx", "json"]
BINARY: frozenset[Format] = frozenset({"pdf", "docx"})  # the others are text

MEDIA: dict[Format, str] = {  # media types
    "md": "text/markdown",
    "html": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "json": "application/json",
}
