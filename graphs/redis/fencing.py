"""The fencing token of a run, and where the newest one of a job is kept: what the stores look at before they write.

`app.jobs.lease` hands out the tokens. A run without one is not fenced: LangGraph Studio, or a test.
"""

from typing import Any

from langchain_core.runnables import RunnableConfig

# In `configurable`. LangGraph keeps keys that begin so out of the metadata of checkpoints.
FENCE = "__tollgate_fence"


def fence_of(config: RunnableConfig) -> int | None:
    """The token of this run."""
    configurable: dict[str, Any] = config.get("configurable", {})
    return configurable.get(FENCE)


def lease_key(job_id: str) -> str:
    """The hash that holds the job's lease; its field `token` is the newest. Its hash tag is that of the checkpoints."""
    return f"tollgate:{{{job_id}}}:lease"
