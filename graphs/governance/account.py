"""Who pays for a model call: an agent of a job, a tenant's day, the deployment's day."""

from dataclasses import dataclass
from datetime import datetime

from graphs.governance.limits import Limits


@dataclass(frozen=True)
class Account:
    """One agent in one job. `limits` are the job's, with what a human has granted; `deadline_at` is UTC;
    `fence` is the run's fencing token.

    Of its two day limits the deployment's own take the place, so that an operator's change holds for all.
    """

    job_id: str
    tenant: str
    agent: str
    limits: Limits
    deadline_at: datetime
    fence: int | None = None
