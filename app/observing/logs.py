"""Logging of the server programs, without secrets and personal data."""

import logging
import sys
from typing import TextIO

from app.observing.redaction import Redaction

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Redacting(logging.Formatter):
    def __init__(self, redact: Redaction) -> None:
        super().__init__(FORMAT)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return str(self._redact(super().format(record)))


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
