"""Log lines of a program that serves: time, level, where, what; without secrets and personal data."""

import logging
import sys

from app.observing.redaction import redacted

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return str(redacted(super().format(record)))


def configure() -> None:
    """Log to stderr: what this project does from INFO on, libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(logging.INFO)
