"""Client and preflight against real servers: Valkey 9, and the `redis-server` on PATH where there is one."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from app.store.embedded_redis import RedisError, _binary
from app.store.redis import Problem, RedisUnavailable, RedisUrlError, connect, preflight

Serve = Callable[..., str]

NO_EVICTION = ("--maxmemory-policy", "noeviction")
KEEPS = ("--appendonly", "yes")
FORGETS = ("--appendonly", "no", "--save", "")


@pytest.fixture(params=["valkey", "redis"])
def program(request: pytest.FixtureRequest) -> Path:
    if request.param == "valkey":
        return _binary()
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server on PATH")
    return Path(found)


@pytest.fixture
def serve(program: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts, or starts again, a server with these options in `tmp_path` and gives its URL."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> str:
        for earlier in servers:
            earlier.terminate()
            earlier.wait(30)
        words = [str(program), "--port", "0", "--unixsocket", "s", "--logfile", "log", *options]
        servers.append(subprocess.Popen(words, cwd=tmp_path))
        url = f"unix://{tmp_path}/s"
        with redis.Redis.from_url(url) as client:
            wait_for(client)
        return url

    yield start
    for server in servers:
        server.kill()
        server.wait(30)


def wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.exceptions.ConnectionError):
            client.info("server")
            return
    pytest.fail("the server did not start")


@contextlib.asynccontextmanager
async def relay(url: str, *, delay: float = 0.0, answer: Callable[[bytes], bytes] = bytes) -> AsyncIterator[str]:
    """A TCP port in front of the server: each reply comes `delay` seconds later and as `answer` makes it."""
    path = urlsplit(url).path

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(path)
        async with asyncio.TaskGroup() as both:
            both.create_task(pump(reader, server_writer))
            both.create_task(pump(server_reader, writer, delay=delay, answer=answer))

    async with serving(serve) as port:
        yield f"redis://127.0.0.1:{port}"


async def pump(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    *,
    delay: float = 0.0,
    answer: Callable[[bytes], bytes] = bytes,
) -> None:
    while data := await source.read(100_000):
        await asyncio.sleep(delay)
        target.write(answer(data))
    target.close()


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    async with await asyncio.start_server(handler, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def check(url: str) -> list[Problem]:
    client = connect(url)
    try:
        return await preflight(client)
    finally:
        await client.aclose()


def admin(url: str, *command: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.execute_command(*command)


async def test_a_fit_server_has_no_problem(serve: Serve) -> None:
    assert await check(serve(*NO_EVICTION, *KEEPS)) == []


async def test_snapshots_count_as_keeping(serve: Serve) -> None:
    assert await check(serve(*NO_EVICTION, "--appendonly", "no", "--save", "60 1000")) == []


async def test_a_server_that_evicts_is_not_fit(serve: Serve) -> None:
    url = serve(*NO_EVICTION, *KEEPS)
    admin(url, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    [problem] = await check(url)
    assert problem.fatal
    assert "allkeys-lru" in problem.what
    assert "CONFIG SET maxmemory-policy noeviction" in problem.remedy


async def test_a_server_that_forgets_is_reported(serve: Serve) -> None:
    [problem] = await check(serve(*NO_EVICTION, *FORGETS))
    assert not problem.fatal
    assert "forgets" in problem.what
    assert "CONFIG SET appendonly yes" in problem.remedy


async def test_the_remedies_work(serve: Serve) -> None:
    url = serve("--maxmemory-policy", "volatile-ttl", *FORGETS)
    problems = await check(url)
    assert len(problems) == 2
    for problem in problems:
        admin(url, *problem.remedy.partition(",")[0].removeprefix("run ").split())
    assert await check(url) == []


async def test_where_config_is_forbidden_the_rest_is_still_checked(serve: Serve) -> None:
    url = serve("--maxmemory-policy", "allkeys-lfu", *FORGETS)
    admin(url, "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config")
    evicts, unknown = await check(url.replace("unix://", "unix://app:secret@"))
    assert "allkeys-lfu" in evicts.what
    assert "could not read" in unknown.what
    assert "CONFIG" in unknown.remedy
    assert not unknown.fatal


async def test_where_config_is_forbidden_and_the_log_is_on_nothing_is_missing(serve: Serve) -> None:
    url = serve(*NO_EVICTION, *KEEPS)
    admin(url, "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config")
    assert await check(url.replace("unix://", "unix://app:secret@")) == []


async def test_where_info_is_forbidden_the_operator_has_to_look(serve: Serve) -> None:
    url = serve(*NO_EVICTION, *KEEPS)
    admin(url, "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-@dangerous")
    [problem] = await check(url.replace("unix://", "unix://app:secret@"))
    assert "could not read" in problem.what
    assert "noeviction" in problem.remedy
    assert not problem.fatal


async def test_a_hidden_policy_is_reported(serve: Serve) -> None:
    def hide(reply: bytes) -> bytes:
        return reply.replace(b"maxmemory_policy:", b"xaxmemory_policy:")

    async with relay(serve(*NO_EVICTION, *KEEPS), answer=hide) as url:
        [problem] = await check(url)
    assert "could not read the eviction policy" in problem.what


async def test_a_replica_is_not_fit(serve: Serve) -> None:
    [problem] = await check(serve(*NO_EVICTION, *KEEPS, "--replicaof", "127.0.0.1 1"))
    assert problem.fatal
    assert "replica" in problem.what
    assert "127.0.0.1:1" in problem.remedy


async def test_a_loading_server_is_not_fit_yet(serve: Serve) -> None:
    snapshots = (*NO_EVICTION, "--save", "60 1")
    url = serve(*snapshots, "--rdbcompression", "no")
    admin(url, "EVAL", "for i = 1, 1000 do redis.call('SET', i, string.rep('x', 1024)) end", "0")
    slowly = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    [problem] = await check(serve(*snapshots, *slowly))
    assert problem.fatal
    assert "loading" in problem.what


@pytest.mark.parametrize(("version", "fit"), [(b"5.0", False), (b"6.0", False), (b"6.2", True), (b"8.2", True)])
async def test_an_old_version_is_not_fit(serve: Serve, version: bytes, fit: bool) -> None:
    def pretend(reply: bytes) -> bytes:
        ours = b"redis_version:7."
        at = reply.find(ours)
        if at < 0:
            return reply
        start = at + len(b"redis_version:")
        return reply[:start] + version + reply[start + 3 :]

    async with relay(serve(*NO_EVICTION, *KEEPS), answer=pretend) as url:
        problems = await check(url)
    assert [each.fatal for each in problems] == ([] if fit else [True])
    assert fit or version.decode() in problems[0].what


async def test_a_far_server_is_reported(serve: Serve) -> None:
    async with relay(serve(*NO_EVICTION, *KEEPS), delay=0.008) as url:
        [problem] = await check(url)
    assert "slow" in problem.what
    assert "ms" in problem.what
    assert not problem.fatal


def test_a_problem_is_one_line() -> None:
    problem = Problem("Redis is a replica", "use its primary", fatal=True)
    assert str(problem) == "Redis is a replica; use its primary"
    with pytest.raises(FrozenInstanceError):
        problem.fatal = False  # type: ignore[misc]


async def refusal(url: str) -> str:
    with pytest.raises(RedisUnavailable) as caught:
        await check(url)
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_a_wrong_password_is_named_but_not_shown(serve: Serve) -> None:
    url = serve()
    admin(url, "CONFIG", "SET", "requirepass", "right")
    text = await refusal(url.replace("unix://", "unix://:wr0ng-secret@"))
    assert "rejects the login" in text
    assert "wr0ng-secret" not in text


async def test_a_missing_password_is_named(serve: Serve, tmp_path: Path) -> None:
    url = serve()
    admin(url, "CONFIG", "SET", "requirepass", "right")
    text = await refusal(url)
    assert "rejects the login" in text
    assert str(tmp_path) in text


async def test_a_port_without_server_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = await refusal(f"redis://app:p4ss-word@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in text
    assert "unset it to use the embedded one" in text
    assert "p4ss-word" not in text


async def test_a_socket_without_server_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/none" in await refusal(f"unix://{tmp_path}/none")


async def test_a_server_that_never_replies_is_named() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(silence) as port:
        text = await refusal(f"redis://127.0.0.1:{port}?socket_timeout=0.02")
    assert "imeout" in text


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def test_a_server_that_is_not_redis_is_named() -> None:
    async with serving(web) as port:
        assert f"127.0.0.1:{port}" in await refusal(f"redis://127.0.0.1:{port}")


async def test_tls_is_spoken_for_rediss() -> None:
    async with serving(web) as port:
        assert "SSL" in await refusal(f"rediss://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://:p4ss-word@localhost:6379",
        "redis://:p4ss-word@localhost:no-port",
        "redis://:p4ss-word/with-slash@localhost:6379",
        "redis://:p4ss-word@localhost/not-a-number",
        "redis://:p4ss-word@localhost?colour=red",
        "redis://:p4ss-word@localhost?socket_timeout=soon",
        "unix://",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RedisUrlError, match="REDIS_URL") as caught:
        connect(url)
    assert "p4ss" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, RedisError)


async def test_values_are_bytes_and_the_client_has_a_name(serve: Serve) -> None:
    client = connect(serve())
    await client.set("key", b"\x00\xff")
    assert await client.get("key") == b"\x00\xff"
    assert await client.client_getname() == "tollgate"
    await client.aclose()


async def test_a_lost_connection_is_made_again(serve: Serve) -> None:
    url = serve()
    client = connect(url)
    await client.set("key", "1")
    first = await client.client_id()
    admin(url, "CLIENT", "KILL", "ID", str(first))
    assert await client.get("key") == b"1"
    assert await client.client_id() != first
    await client.aclose()


async def test_the_database_of_the_url_is_used(serve: Serve) -> None:
    url = serve()
    client = connect(f"{url}?db=3")
    await client.set("key", "1")
    await client.aclose()
    with redis.Redis.from_url(url, db=3) as other:
        assert other.exists("key") == 1
