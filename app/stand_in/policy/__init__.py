"""How the stand-in answers in any team and with any tools: it picks, asks and quotes, and invents nothing.

- plan.py: the supervisor; agent.py: an agent at its task; report.py: the report
- arguments.py, sql.py: what a tool is called with; facts.py: what its results say to the question
"""

from app.stand_in.policy.agent import work
from app.stand_in.policy.plan import decide
from app.stand_in.policy.report import write

__all__ = ["decide", "work", "write"]
