"""Shared by the commands: exit codes, the program's name, settings, and terminal output."""

import logging
import shutil
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from app.config import settings as configuration
from app.config.settings import Settings
from app.jobs.states import WAITING
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.observing.terminals import harmless, raw
from graphs.spending.limits import dollars

WAITS = 4
EXIT: dict[str, int] = {"completed": 0, "failed": 1, "cancelled": 1, "dead": 1, "partial": 3}
EXIT |= dict.fromkeys(WAITING, WAITS)
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

# How `--help` groups the commands.
RUN, SERVE, OPERATE, DEVELOP = "Run a job", "Serve", "Operate", "Develop"


class Terminal(Console):
    """Prints our own colours, and untrusted text as plain, harmless text without markup and live links."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        stream = raw(sys.stderr if stderr else sys.stdout)
        super().__init__(file=stream, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The output, segment by segment."""
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
            else:
                yield Segment(harmless(text), style.update_link(None) if style and style.link else style)


def in_full(micro_usd: int) -> str:
    """`$0.25`; small amounts have as many digits as needed: `$0.0008`."""
    return dollars(micro_usd).replace("USD ", "$")


def program() -> str:
    """How this command was called, so that printed hints can be copied."""
    return "tollgate" if shutil.which("tollgate") else sys.argv[0]


def loaded() -> Settings:
    """Load the settings, and send log lines to stderr without the settings' secrets. Raises BadInput."""
    settings = configuration.load()
    configure(Redaction(settings.secrets), logging.WARNING)
    return settings
