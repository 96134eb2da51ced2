"""Lines of the log, as programs write them."""

import logging

import pytest

from app.observing.logs import configure
from app.observing.redaction import Redaction


def test_a_message_is_one_line_and_a_traceback_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure(Redaction([]))
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("elsewhere").exception("it said %s", "hello\r\n2026-11-21 10:15:00,000 ERROR forged")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("app").setLevel(logging.NOTSET)
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith(r"it said hello\r\n2026-11-21 10:15:00,000 ERROR forged")
    assert others[0].startswith("Traceback")
    assert others[-1] == "ValueError: broken"
