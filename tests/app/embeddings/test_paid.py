"""A whole job whose model and embeddings cost money: the ledger is the invoice, and the knowledge base has no key."""

import math
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import mcp_program, running
from graphs.spending.ledger import Ledger
from tests.app.command_line import answered
from tests.app.offline_team import MICRO_PER_TOKEN, serving
from tests.data import DOCUMENTS

QUESTION = "How many public charging points does Portugal have?"
KEY = "sk-of-the-provider"


def invoiced(url: str) -> tuple[int, int]:
    """What the provider charges for completions, and for embeddings, in micro-dollars."""
    told = httpx.get(f"{url.removesuffix('/v1')}/invoice").json()
    chat = 0
    for line in told["billed"]:
        read, cached, wrote = MICRO_PER_TOKEN[line["model"]]
        fresh = line["input_tokens"] - line["cached_tokens"]
        chat += math.ceil(round(fresh * read + line["cached_tokens"] * cached + line["output_tokens"] * wrote, 6))
    return chat, sum(20 * line["input_tokens"] for line in told["embedded"])


@pytest.mark.slow
@pytest.mark.parametrize(("price", "is_bought"), [(20, True), (1_000_000, False)])
async def test_searches_are_charged_to_the_job_and_passages_to_the_day(
    tmp_path: Path, beside: dict[str, str], redis_url: str, redis_client: Redis, price: int, is_bought: bool
) -> None:
    others = {name: url for name, url in beside.items() if name in {"MCP__SALES__URL", "MCP__ANALYTICS__URL"}}
    own = {
        "TOLLGATE_KNOWLEDGE_BASE_DATA": str(DOCUMENTS),
        "TOLLGATE_PRICES": f'{{"text-embedding-3-small": {{"input": {price}, "output": 0}}}}',
    }
    with serving() as url:
        given = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "REDIS_URL": redis_url}
        _, job = answered(tmp_path, "run", QUESTION, **others, **own, **given)
        chat, embedded = invoiced(url)
    ledger = Ledger(redis_client, ttl_seconds=600)
    today = (await ledger.spent_today("local")).deployment
    spent = round(job["cost_usd"] * 1_000_000)
    assert today.reserved_micro_usd == 0
    assert today.micro_usd == chat + embedded
    if is_bought:
        assert chat < spent < today.micro_usd, "a search is the job's, and a passage is not"
    else:
        assert (spent, embedded) == (chat, 0)
        told = "keyword search alone: there is no money for embeddings"
        assert any(told in each.read_text() for each in (tmp_path / ".data" / "reports").rglob("*.md"))
    assert job["status"] == "completed"


def test_the_knowledge_base_gets_neither_the_providers_address_nor_its_key(tmp_path: Path) -> None:
    paid = Settings(_env_file=None, data_dir=tmp_path, OPENAI_API_KEY=KEY)
    command, environment = mcp_program(paid, "knowledge_base")
    assert "--embeddings-url" not in " ".join(command), "nobody counts what it would cost"
    gate: Any = {"embeddings_gate_url": "http://127.0.0.1:7799/v1", "mcp_secret": "s" * 32}
    told = mcp_program(Settings(_env_file=None, OPENAI_API_KEY=KEY, **gate), "knowledge_base")
    assert told[1]["TOLLGATE_EMBEDDINGS_URL"] == gate["embeddings_gate_url"]
    assert len(told[1]["TOLLGATE_EMBEDDINGS_KEY"]) == 64
    free = mcp_program(Settings(_env_file=None, stand_in_url="http://127.0.0.1:7800/v1"), "knowledge_base")
    assert free[1]["TOLLGATE_EMBEDDINGS_URL"] == "http://127.0.0.1:7800/v1"
    for _, each in ((command, environment), told, free):
        assert KEY not in str(each)
        assert "OPENAI_API_KEY" not in each


@pytest.mark.slow
def test_a_gate_is_started_only_where_embeddings_cost_money(tmp_path: Path, redis_url: str) -> None:
    elsewhere: Any = {name: {"url": "http://127.0.0.1:9/mcp"} for name in ("sales", "analytics", "knowledge_base")}
    provider: Any = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "data_dir": tmp_path}
    here = {name: server for name, server in elsewhere.items() if name != "knowledge_base"}
    started = {}
    for name, settings in {
        "paid": Settings(_env_file=None, MCP=here, **provider),
        "elsewhere": Settings(_env_file=None, MCP=elsewhere, **provider),
        "offline": Settings(_env_file=None, MCP=here, data_dir=tmp_path, stand_in_url="http://127.0.0.1:9/v1"),
    }.items():
        with running(settings, redis_url) as addresses:
            started[name] = {child.name for child in addresses.children}
    assert started == {"paid": {"embeddings", "knowledge_base"}, "elsewhere": set(), "offline": {"knowledge_base"}}
