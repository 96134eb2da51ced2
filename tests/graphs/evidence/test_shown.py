"""What a model reads of results: no address that it cannot fetch."""

from graphs.evidence.shown import shown
from graphs.evidence.store import Evidence

TEXT = "See <https://example.org/a/long/path?with=it>, (http://example.com/x) and example.net/y/z. It grew by 7 %."


def test_addresses_that_cannot_be_fetched_are_cut_to_their_hosts() -> None:
    told = Evidence(task="T1", server="a", tool="t", arguments={}, text=TEXT, content={}, duration_ms=1)
    cut = shown("E1", told, addresses=False)
    assert "<https://example.org/…>, (http://example.com/x) and example.net/y/z. It grew by 7 %." in cut
    assert cut.startswith("E1\n<data-")
    assert TEXT in shown("E1", told, addresses=True)
