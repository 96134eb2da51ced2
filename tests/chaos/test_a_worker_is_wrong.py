"""Workers on a machine whose clock is off, or with another secret, say so, take no jobs, and harm none of others."""

import contextlib
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.running.processes import running
from tests.app.queued import deployment, ended, order, submitted
from tests.chaos.soundness import assert_sound

pytestmark = pytest.mark.slow

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
JOBS = 8
SECRET = "the secret of this deployment, of 32 letters"


@pytest.mark.skipif(FAKETIME is None, reason="needs Debian's faketime")
async def test_jobs_do_not_notice_it(tmp_path: Path) -> None:
    said: dict[str, list[str]] = {"ahead": [], "behind": [], "secret": []}
    right = {"TOLLGATE_MCP_SECRET": SECRET, "TOLLGATE_WORKER_JOBS": "2"}
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(deployment(tmp_path))
        settings = here.settings.model_copy(update={"mcp_secret": SecretStr(SECRET), "stand_in_url": here.model})
        servers = stack.enter_context(running(settings)).servers
        here = stack.enter_context(deployment(tmp_path, servers=servers, redis_url=here.redis_url))
        for which, off in (("ahead", "+20s"), ("behind", "-20s")):
            clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": off, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            stack.enter_context(here.worker(signal.SIGTERM, said=said[which], **right, **clock))
        wrong = {**right, "TOLLGATE_MCP_SECRET": "another secret, which has 32 letters, too"}
        stack.enter_context(here.worker(signal.SIGTERM, said=said["secret"], **wrong))
        async with here.service() as service:
            jobs = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(JOBS)]
            stack.enter_context(here.worker(signal.SIGTERM, said=None, **right))
            records = [await ended(service, job_id, 90) for job_id in jobs]
            await assert_sound(here, service, jobs)
            assert not [key async for key in service.client.scan_iter("tollgate:breaker:*")]
    assert {(each.status, each.attempts) for each in records} == {("completed", 1)}
    for which in ("ahead", "behind"):
        assert any(
            f"WARNING app.running.serving: worker: takes no jobs: the clock of this machine is 20 s {which}" in line
            for line in said[which]
        )
    assert any("rejects our tokens" in line and "TOLLGATE_MCP_SECRET" in line for line in said["secret"])
