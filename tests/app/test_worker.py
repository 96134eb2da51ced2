"""Workers as real programs: they run what was ordered, and lose nothing."""

from pathlib import Path

from tests.app.queued import deployment, ended, order, stopped
from tests.chaos.soundness import assert_sound


async def test_a_worker_runs_what_was_ordered(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            record, new = await service.submit(order(here.settings))
            assert (record.status, new) == ("queued", True)
            with here.worker() as process:
                done = await ended(service, record.job_id)
                assert stopped(process) == 0
            await assert_sound(here, service, [record.job_id])
            assert await service.registry.waiting() == {"outbox": 0, "dead": 0}
    assert done.status == "completed"
    assert done.result
    assert done.result["stop_reason"] == "answered"
