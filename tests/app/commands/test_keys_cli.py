"""`tollgate keys` and `tollgate audit` as an administrator types them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from app.access.keys import Key, Keys, Scope
from app.store.embedded_redis import embedded_redis
from tests.app.command_line import left_behind, tollgate

SECRET = {"TOLLGATE_AUDIT_SECRET": "0123456789abcdef0123456789abcdef"}


def created(folder: Path, *scopes: str, tenant: str = "acme", **settings: str) -> str:
    """The secret of a new key: all that is on stdout."""
    options = [option for scope in scopes for option in ("--scope", scope)]
    ended = tollgate(folder, "keys", "create", "--tenant", tenant, *options, "--name", "CI job", **settings)
    assert ended.returncode == 0, ended.stderr
    (secret,) = ended.stdout.splitlines()
    assert secret not in ended.stderr
    return secret


def listed(folder: Path) -> list[str]:
    return tollgate(folder, "keys", "list").stdout.splitlines()


def trail(folder: Path, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in tollgate(folder, "audit", *options).stdout.splitlines()]


def verified(folder: Path, secret: str) -> Key | None:
    """By a server on the same store."""

    async def verify(url: str) -> Key | None:
        async with Redis.from_url(url) as client:
            return await Keys(client).verify(secret)

    with embedded_redis(folder / ".data") as url:
        return asyncio.run(verify(url))


@pytest.mark.slow
def test_a_key_is_made_listed_and_revoked_and_the_trail_says_so(tmp_path: Path) -> None:
    secret = created(tmp_path, "submit", "read")
    key = verified(tmp_path, secret)
    assert key
    assert (key.tenant, key.name) == ("acme", "CI job")
    assert key.scopes == {Scope.SUBMIT, Scope.READ}
    assert listed(tmp_path) == [f"{key.id}  acme  read,submit  {key.created_at}  CI job"]

    revoked = tollgate(tmp_path, "keys", "revoke", key.id)
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert revoked.stderr.startswith(f"revoked {key.id}  acme")
    assert "all requests are refused; create one, or run `tollgate keys waive`" in revoked.stderr
    assert listed(tmp_path) == []
    assert verified(tmp_path, secret) is None
    waived = tollgate(tmp_path, "keys", "waive")
    assert (waived.returncode, waived.stderr.splitlines()[0][:17]) == (0, "no key is needed:")

    entries = trail(tmp_path)
    assert [(entry["action"], entry["actor"], entry["tenant"]) for entry in entries] == [
        ("key.create", "command line", "acme"),
        ("key.revoke", "command line", "acme"),
        ("key.waive", "command line", None),
    ]
    assert entries[0]["detail"] == {"key_id": key.id, "scopes": ["read", "submit"], "name": "CI job"}
    assert secret not in json.dumps(entries)
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_the_trail_is_shown_by_tenant_and_checked_as_a_whole(tmp_path: Path) -> None:
    for tenant in ("acme", "zeta"):
        created(tmp_path, "read", tenant=tenant, **SECRET)
    assert [entry["tenant"] for entry in trail(tmp_path, "--tenant", "zeta")] == ["zeta"]
    newest = trail(tmp_path)[-1]
    holds = tollgate(tmp_path, "audit", "--verify", **SECRET)
    assert (holds.returncode, holds.stderr) == (0, "")
    assert holds.stdout == f"the audit trail is intact up to {newest['id']} {newest['mac']}\n"
    other = tollgate(tmp_path, "audit", "--verify", TOLLGATE_AUDIT_SECRET="x" * 32)
    assert other.returncode == 1
    assert other.stderr.startswith("error: the audit trail is broken at ")
    assert other.stdout == ""


def test_without_a_secret_it_does_not_claim_too_much(tmp_path: Path) -> None:
    empty = tollgate(tmp_path, "audit", "--verify")
    assert (empty.returncode, empty.stdout) == (0, "the audit trail is empty\n")
    assert "without TOLLGATE_AUDIT_SECRET" in empty.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "line"),
    [
        (("keys", "create", "--tenant", "A B", "--scope", "read"), {}, "error: a tenant's name has 1 to 40"),
        (("keys", "create", "--tenant", "a", "--scope", "all"), {}, "error: the scopes of a key are one or more of"),
        (("keys", "revoke", "tg_abc"), {}, "error: a key's id is 12 lower-case letters"),
        (("keys", "revoke", "abcdefghijkl"), {}, "error: there is no key abcdefghijkl"),
        (("keys", "list"), {"REDIS_URL": "redis://127.0.0.1:1"}, "error: Redis at 127.0.0.1:1 cannot be used"),
        (("keys", "list"), {"TOLLGATE_AUDIT_SECRET": "short"}, "error: setting TOLLGATE_AUDIT_SECRET: "),
        (("audit", "--tenant", "a", "--verify"), {}, "error: the audit trail is one chain of all tenants"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], line: str
) -> None:
    ended = tollgate(tmp_path, *arguments, **settings)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(line), ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_a_command_that_is_forbidden_is_not_told_as_a_redis_that_is_away(tmp_path: Path, redis_url: str) -> None:
    async def run(*words: str) -> None:
        async with Redis.from_url(redis_url) as client:
            await client.execute_command(*words)  # type: ignore[no-untyped-call]

    asyncio.run(run("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-hgetall"))
    try:
        ended = tollgate(tmp_path, "watch", "job-1", REDIS_URL=redis_url.replace("unix://", "unix://app:secret@"))
    finally:
        asyncio.run(run("ACL", "DELUSER", "app"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: Redis forbids this user a command or a key (")
    assert "ACL SETUSER" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_redis_that_may_drop_keys_is_refused(tmp_path: Path, redis_url: str) -> None:
    async def set_policy(policy: str) -> None:
        async with Redis.from_url(redis_url) as client:
            await client.config_set("maxmemory-policy", policy)

    asyncio.run(set_policy("allkeys-lru"))
    try:
        ended = tollgate(tmp_path, "keys", "create", "--tenant", "a", "--scope", "read", REDIS_URL=redis_url)
    finally:
        asyncio.run(set_policy("noeviction"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: Redis may drop state and budgets")
