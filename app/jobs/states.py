"""Where a job can stand. Apart from its record, which is slow to import, for whoever only talks about jobs."""

from typing import Literal

Status = Literal["queued", "running", "awaiting_human", "completed", "partial", "failed", "cancelled", "dead"]
TERMINAL: frozenset[Status] = frozenset({"completed", "partial", "failed", "cancelled", "dead"})
