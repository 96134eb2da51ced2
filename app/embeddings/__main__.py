"""`python -m app.embeddings`: the embeddings gate, on a port or on an inherited socket."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

import httpx

from app.config import ports
from app.config.prices import pricer
from app.config.settings import Settings, load, variable
from app.embeddings.gate import TIMEOUT_S, Gate
from app.embeddings.server import build
from app.errors import AppError, BadInput
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.running import listening
from app.store.clock import StoreClock
from app.store.redis import connect
from graphs.spending.ledger import Ledger

ENDING_S = 10  # for requests in flight when it is told to stop


def main() -> None:
    """Serve until told to stop; exits with code 2 and one line when it cannot."""
    options = listening.parser("app.embeddings", "OpenAI's embeddings, paid for.", ports.EMBEDDINGS).parse_args()
    try:
        settings = load()
        configure(Redaction(settings.secrets))
        app = build(partial(_opened, settings), *_needed(settings))
    except AppError as error:
        listening.fail(str(error))
    listening.serve(app, options, "embeddings gate", ENDING_S, lifespan=True)


def _needed(settings: Settings) -> tuple[str]:
    """The key of the knowledge base. Raises BadInput."""
    if settings.embeddings_key is None:
        raise BadInput(f"the embeddings gate needs {variable('mcp_secret')}, or {variable('embeddings_key')}; set it")
    if settings.model_url is None or settings.redis_url is None:
        raise BadInput("the embeddings gate needs a model provider and REDIS_URL; set OPENAI_API_KEY and REDIS_URL")
    pricer(settings)
    return (settings.embeddings_key.get_secret_value(),)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Gate]:
    assert settings.redis_url
    headers = {"Accept-Encoding": "gzip"}
    if settings.openai_api_key:
        headers["Authorization"] = f"Bearer {settings.openai_api_key.get_secret_value()}"
    url = f"{settings.model_url}".rstrip("/")
    async with (
        aclosing(connect(settings.redis_url.get_secret_value())) as client,
        httpx.AsyncClient(timeout=TIMEOUT_S, headers=headers) as http,
    ):
        ledger = Ledger(client, ttl_seconds=settings.ttl_seconds, now=StoreClock(client))
        price = (lambda _: 0) if settings.offline else partial(pricer(settings).embedding, settings.embedding_model)
        yield Gate(
            ledger, http, f"{url}/embeddings", settings.embedding_model, price, settings.limits.deployment_day_micro_usd
        )


if __name__ == "__main__":
    main()
