"""Notices when the parent process is gone."""

import os
import sys
import threading
from collections.abc import Callable


def when_it_closes(act: Callable[[], None]) -> None:
    """Call `act` in a new thread once stdin is closed."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin itself: a thread that holds its lock aborts the exit
            pass
        act()

    threading.Thread(target=watch, daemon=True).start()
