"""What is kept of a job: keys of Redis, and files."""

from pathlib import Path
from typing import Any

from redis.asyncio import Redis

# What it has cost, who did what with it, and that it was deleted.
KEPT = (b"tollgate:{ledger}:", b"tollgate:{audit}:", b"tollgate:{deleted}:")


async def keys_of(client: Redis, job_id: str) -> set[str]:
    """The keys that name the job, in their name or in what they hold, except those that a deletion keeps."""
    job, found = job_id.encode(), set[str]()
    async for key in client.scan_iter(count=1000):
        if not key.startswith(KEPT) and (job in key or job in await _held(client, key)):
            found.add(key.decode())
    return found


def files_of(folder: Path, job_id: str) -> list[Path]:
    """The files and folders that name the job."""
    return [each for each in folder.rglob("*") if job_id in str(each)]


async def _held(client: Any, key: bytes) -> bytes:
    kind = (await client.type(key)).decode()
    read = {
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "zset": lambda: client.zrange(key, 0, -1),
        "set": lambda: client.smembers(key),
        "list": lambda: client.lrange(key, 0, -1),
        "stream": lambda: client.xrange(key),
    }
    return repr(await read[kind]()).encode()
