"""What the commands share: exit codes, how this program was called, its settings, and how it writes to a terminal."""

import logging
import shutil
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from app.config import settings as configuration
from app.config.settings import Settings
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.observing.terminals import harmless, raw
from graphs.spending.limits import dollars

EXIT = {"completed": 0, "failed": 1, "cancelled": 1, "dead": 1, "partial": 3, "awaiting_human": 4}
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

# How `--help` groups the commands.
RUN, SERVE, OPERATE, DEVELOP = "Run a job", "Serve", "Operate", "Develop"


class Terminal(Console):
    """Prints with colours of ours, and what others said as plain, harmless text: no markup of theirs is read, and no
    link is live."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        stream = raw(sys.stderr if stderr else sys.stdout)
        super().__init__(file=stream, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written, piece by piece."""
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
            else:
                yield Segment(harmless(text), style.update_link(None) if style and style.link else style)


def in_full(micro_usd: int) -> str:
    """`$0.25`; a small amount has as many digits as it needs: `$0.0008`."""
    return dollars(micro_usd).replace("USD ", "$")


def program() -> str:
    """How this command was called, so that a printed hint can be pasted."""
    return "tollgate" if shutil.which("tollgate") else sys.argv[0]


def loaded() -> Settings:
    """The settings. From here on log lines go to stderr, without the secrets that are in them. Raises BadInput."""
    settings = configuration.load()
    configure(Redaction(settings.secrets), logging.WARNING)
    return settings
