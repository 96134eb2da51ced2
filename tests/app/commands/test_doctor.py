"""What the doctor says of one call's cost, worked out by hand from the price lists."""

from typing import Any

from app.commands.doctor import costs
from app.config.settings import Settings


def test_each_role_has_the_most_that_one_of_its_calls_can_cost(settings: Settings) -> None:
    """Of 200,000 tokens, 8,192 are written and 191,808 read."""
    google: Any = {"fallback_model": "gemini-2.5-pro", "fallback_base_url": "https://generativelanguage.googleapis.com"}
    assert [line[1:] for line in costs(settings.model_copy(update=google))] == [
        ("supervisor", "gpt-5-nano: a call costs USD 0.012868 at most"),  # $0.05 and $0.40 per million
        ("agents, report", "gpt-5-mini: a call costs USD 0.064336 at most"),  # $0.25 and $2
        ("fallback", "gemini-2.5-pro: a call costs USD 0.32168 at most"),  # $1.25 and $10
        ("embeddings", "text-embedding-3-small: a call costs USD 0.004 at most"),  # $0.02
    ]
