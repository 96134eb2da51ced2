"""docs/operating/backup.md is run: a real Redis with a job is backed up, restored and checked."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.app.command_line import answered, background, tollgate
from tests.docs.pages import commands, page, run, section
from tests.graphs.redis_servers import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-check-rdb") is None, reason="needs Debian's redis-server"),
]

PAGE = page("docs/operating/backup.md")
BACK_UP, RESTORE, CHECK = (commands(section(PAGE, each)) for each in ("Back up", "Restore", "Check it"))
OURS = ".venv/bin/tollgate "
PORT = "6390"  # of the restored store, on the page


@contextlib.contextmanager
def serving(port: int, folder: Path, *options: str) -> Iterator[str]:
    """Debian's Redis on this port, with what is in the folder; its address."""
    folder.mkdir(exist_ok=True)
    with background(["redis-server", "--port", str(port), *options], folder, signal.SIGTERM):
        with reached(port) as client:
            client.ping()
        yield f"redis://127.0.0.1:{port}"


def reached(port: int) -> redis.Redis:
    """A client that waits until the server is there."""
    return redis.Redis(port=port, retry=Retry(ConstantBackoff(0.05), retries=400))


def typed(folder: Path, command: str, settings: dict[str, str]) -> str:
    """What a command that succeeds prints; ours in a forked process, which has no imports to wait for."""
    ours = command.startswith(OURS)
    ended = (
        tollgate(folder, *command.removeprefix(OURS).split(), **settings) if ours else run(folder, command, **settings)
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def test_all_commands_of_the_page_are_run() -> None:
    assert [*BACK_UP, *RESTORE, *CHECK] == commands(PAGE)


def test_a_store_is_backed_up_restored_and_checked(copy: Path, beside: dict[str, str]) -> None:
    old, new = free_ports(2)
    with serving(old, copy / "old", "--appendonly", "yes", "--maxmemory-policy", "noeviction") as url:
        given = {**beside, "REDIS_URL": url, "TOLLGATE_AUDIT_SECRET": "a" * 32}
        code, job = answered(copy, "run", "What was our revenue in 2025?", **given)
        assert code == 0
        typed(copy, f"{OURS}keys create --tenant acme --scope read", given)
        *_, trail = (typed(copy, each, given) for each in BACK_UP)
        keys, today = (typed(copy, OURS + each, given) for each in ("keys list", "spend"))
    try:
        for each in RESTORE:
            typed(copy, each.replace(PORT, str(new)), given)
        exported, doctor, *others = (each.replace(PORT, str(new)) for each in CHECK)
        given["REDIS_URL"] = exported.removeprefix("export REDIS_URL=")
        assert "✓ redis            Redis 7" in typed(copy, doctor, given)
        assert [typed(copy, each, given) for each in others] == [trail, keys, today]
        assert answered(copy, "resume", job["job_id"], **given)[1]["cost_usd"] == job["cost_usd"] > 0
        with reached(new) as client:
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            while client.info("persistence")["aof_rewrite_in_progress"]:
                pass  # it is over in milliseconds; until then a restart would not find what was restored
    finally:
        with reached(new) as client:
            client.shutdown(nosave=True)
    with serving(new, copy / "restored", "--appendonly", "yes") as _, reached(new) as client:
        assert client.exists("tollgate:{audit}:log", "tollgate:{keys}:index", f"tollgate:{{{job['job_id']}}}:job") == 3


def test_a_server_with_an_append_only_file_does_not_look_at_the_backup(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with serving(port, tmp_path / "old"), reached(port) as client:
        client.set("spent", "1")
        client.save()
    with serving(port, tmp_path / "old", "--appendonly", "yes"), reached(port) as client:
        assert client.dbsize() == 0
