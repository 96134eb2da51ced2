"""Jobs as versions of this program have stored them: one that has ended, and one that waits for a human.

`python -m tests.app.stored_jobs` stores those of the present version. Do so before `SCHEMA_VERSION` is raised; what an
earlier version wrote is not to be made anew.
"""

import base64
import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from graphs.checkpoint.saver import RedisSaver

HERE = Path(__file__).parent
TENANT = "local"
FILES = sorted(each.name.removesuffix(".json.gz") for each in HERE.glob("*.json.gz"))
TTL_S = 600
LEFT_OUT = (":lease", ":seen")


@dataclass(frozen=True)
class Stored:
    """What is in a file."""

    completed: str
    waiting: str
    keys: dict[str, tuple[str, Any]]


def stored(name: str) -> Stored:
    """The jobs of this file."""
    return Stored(**json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes())))


async def load(client: Any, jobs: Stored) -> None:
    """Put them into this store, as if they had run today: the time to decide about one that waits has an end."""
    ran = datetime.strptime(jobs.waiting.split("-")[1], "%Y%m%d").replace(tzinfo=UTC)

    def _now(text: str) -> bytes:
        value = _raw(text)
        for days in (timedelta(1), timedelta(0)):  # the next day's first, which would be moved twice otherwise
            value = value.replace(_day(ran + days), _day(datetime.now(UTC) + days))
        return value

    for stored_key, (kind, value) in jobs.keys.items():
        key = f"tollgate:{stored_key.partition(':')[2]}"  # a fork has a name of its own
        match kind:
            case "hash":
                await client.hset(key, mapping={_raw(name): _now(each) for name, each in value.items()})
            case "zset":
                await client.zadd(key, {_raw(name): score for name, score in value})
            case "stream":
                for place, fields in value:
                    await client.xadd(key, {_raw(name): _now(each) for name, each in fields.items()}, place)
        await client.expire(key, TTL_S)


async def save(client: Any, name: str, completed: str, waiting: str) -> None:
    """Write a file of what this store has of them, with their newest checkpoints only."""
    jobs = (completed, waiting)
    await RedisSaver(client).aprune(jobs)
    keys = {}
    async for key in client.scan_iter():
        text = key.decode()
        if text.startswith("tollgate:{jobs}:of:") or (any(each in text for each in jobs) and _is_kept(text)):
            keys[text] = await _read(client, text, (await client.type(key)).decode())
    whole = {"completed": completed, "waiting": waiting, "keys": dict(sorted(keys.items()))}
    packed = gzip.compress(json.dumps(whole, separators=(",", ":")).encode(), mtime=0)
    (HERE / f"{name}.json.gz").write_bytes(packed)


def _is_kept(key: str) -> bool:
    return key.startswith("tollgate:") and not key.endswith(LEFT_OUT) and ":runs:" not in key


async def _read(client: Any, key: str, kind: str) -> tuple[str, Any]:
    match kind:
        case "hash":
            return kind, {_text(name): _text(each) for name, each in (await client.hgetall(key)).items()}
        case "zset":
            return kind, [(_text(name), score) for name, score in await client.zrange(key, 0, -1, withscores=True)]
        case "stream":
            return kind, [
                (at.decode(), {_text(name): _text(each) for name, each in fields.items()})
                for at, fields in await client.xrange(key)
            ]
    raise ValueError(f"{key} is a {kind}")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _day(at: datetime) -> bytes:
    return f"{at:%Y-%m-%d}T".encode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text)
