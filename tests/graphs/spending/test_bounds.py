"""A request whose price has no bound is not made."""

from typing import Any

import pytest

from graphs.errors import Unaccounted
from graphs.spending.bounds import refuse_what_has_no_bound

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "service_tier": "default"}


@pytest.mark.parametrize(
    ("asked", "of"),
    [
        ({"modalities": ["text", "audio"], "audio": {"voice": "alloy"}}, "audio, modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"extra_body": {"anything": 1}}, "extra_body"),
        ({"service_tier": "priority"}, "the service tier priority"),
    ],
)
def test_a_request_whose_price_has_no_bound_is_not_made(asked: dict[str, Any], of: str) -> None:
    refuse_what_has_no_bound(HELLO, "m", None)
    with pytest.raises(Unaccounted, match=f"a request with {of} has no bound"):
        refuse_what_has_no_bound(HELLO | asked, "m", None)
