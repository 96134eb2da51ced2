"""The stand-in model on a real socket, and what it charges."""

import contextlib
from collections.abc import Iterator

import httpx

from app.stand_in.faults import HONEST, Profile
from app.stand_in.server import build
from tests.http_server import served

MICRO_PER_TOKEN = {"gpt-5-mini": (0.25, 0.025, 2.0), "gpt-5-nano": (0.05, 0.005, 0.4)}  # input, cached, output


@contextlib.contextmanager
def serving(profile: Profile = HONEST, latency_ms: int = 0) -> Iterator[str]:
    """The stand-in model in a thread; yields its base URL."""
    with served(build(latency_ms, profile)) as address:
        yield f"{address}/v1"


def billed(url: str) -> tuple[float, int]:
    """What the provider at this base URL charges at list price, in micro-dollars, and for how many calls."""
    lines = httpx.get(f"{url.removesuffix('/v1')}/invoice").json()["billed"]
    total = 0.0
    for line in lines:
        read, cached, wrote = MICRO_PER_TOKEN[line["model"]]
        fresh = line["input_tokens"] - line["cached_tokens"]
        total += fresh * read + line["cached_tokens"] * cached + line["output_tokens"] * wrote
    return total, len(lines)
