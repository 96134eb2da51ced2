"""A run's fencing token, and the key of a job's newest one, which the stores compare before they write.

`app.jobs.lease` issues the tokens. A run without one is not fenced: LangGraph Studio, or a test.
"""

from typing import Any

from langchain_core.runnables import RunnableConfig

# In `configurable`. LangGraph keeps keys with this prefix out of checkpoint metadata.
FENCE = "__tollgate_fence"


def fence_of(config: RunnableConfig) -> int | None:
    """The run's token, if any."""
    configurable: dict[str, Any] = config.get("configurable", {})
    return configurable.get(FENCE)


def lease_key(job_id: str) -> str:
    """The hash of the job's lease, with the newest token in `token`. It shares the checkpoints' hash tag."""
    return f"tollgate:{{{job_id}}}:lease"
