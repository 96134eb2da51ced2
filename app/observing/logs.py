"""Logging of the server programs: lines name their job and trace, and have no secrets and personal data."""

import contextvars
import logging
import sys
from typing import TextIO

from app.observing.redaction import Redaction
from graphs.telemetry import trace_id

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(about)s"

# What the lines of the current task are about, also after the spans of its job have ended.
about: contextvars.ContextVar[str] = contextvars.ContextVar("about", default="")


def about_job(job_id: str) -> None:
    """Say that all further lines of the current task are about this job, and the current trace."""
    about.set(" ".join([job_id, *_trace()]))


class _Redacting(logging.Formatter):
    def __init__(self, redact: Redaction) -> None:
        super().__init__(FORMAT)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        where = about.get() or " ".join(_trace())
        record.about = f" [{where}]" if where else ""
        return str(self._redact(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """A message is one line, so that nobody whose text is in it, such as a browser's, can forge others."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def _trace() -> list[str]:
    current = trace_id()
    return [f"trace {current}"] if current else []


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which a live display may replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


def configure(redact: Redaction, level: int = logging.INFO) -> None:
    """Log to stderr: this project from this level on, libraries from WARNING on."""
    handler = _ToStderr()
    handler.setFormatter(_Redacting(redact))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(level)
