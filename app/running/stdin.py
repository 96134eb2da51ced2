"""Notices when whoever started this program is gone."""

import os
import sys
import threading
from collections.abc import Callable


def when_it_closes(act: Callable[[], None]) -> None:
    """Call `act`, from a thread of its own, once stdin has been closed at its other end."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin itself: a thread that holds its lock aborts the exit
            pass
        act()

    threading.Thread(target=watch, daemon=True).start()
