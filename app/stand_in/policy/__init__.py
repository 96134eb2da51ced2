"""How the stand-in answers in any team and with any tools: it picks, asks and quotes, and invents nothing."""

from app.stand_in.policy.agent import work
from app.stand_in.policy.plan import decide
from app.stand_in.policy.report import write

__all__ = ["decide", "work", "write"]
