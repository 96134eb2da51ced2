"""Bodies are counted by what comes of them, whatever way they are packed."""

import gzip

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_http.bodies import TooLarge, Unpacking, body
from tests.raw_server import raw_server, status


def unpacking(most: int, packing: str = "gzip") -> Unpacking:
    return Unpacking(httpx.Headers({"content-encoding": packing}), most)


@given(whole=st.binary(max_size=2000), cut=st.integers(1, 500), packed=st.booleans())
def test_whatever_its_parts_are_the_body_is_the_same_up_to_its_bound(whole: bytes, cut: int, packed: bool) -> None:
    sent = gzip.compress(whole) if packed else whole
    pieces = [sent[at : at + cut] for at in range(0, len(sent), cut)]
    reader = unpacking(max(len(whole), len(sent)), "gzip" if packed else "identity")
    assert b"".join(map(reader.feed, pieces)) == whole
    if whole:
        small = unpacking(len(whole) - 1, "gzip" if packed else "")
        with pytest.raises(TooLarge):
            [small.feed(each) for each in pieces]


def test_a_bomb_is_unpacked_no_further_than_one_byte_too_many() -> None:
    with pytest.raises(TooLarge, match="it has more than 1000 bytes"):
        unpacking(1000).feed(gzip.compress(b" " * 50_000_000))


def test_what_unpacks_to_nothing_is_bounded_too() -> None:
    reader = unpacking(1000)
    reader.feed(gzip.compress(b"all"))
    with pytest.raises(TooLarge):
        [reader.feed(b"and on and on") for _ in range(1000)]


@pytest.mark.parametrize(("packing", "sent"), [("gzip", b"no gzip"), ("br", b""), ("gzip, gzip", b""), ("zstd", b"")])
async def test_what_cannot_be_unpacked_says_so(packing: str, sent: bytes) -> None:
    answer = status("200 OK", sent, content_encoding=packing)
    async with raw_server(answer) as at, httpx.AsyncClient() as http, http.stream("GET", at.url) as response:
        with pytest.raises(httpx.DecodingError, match="its content encoding is"):
            await body(response, 1000)


def test_of_a_stream_without_end_each_piece_is_bounded() -> None:
    reader = unpacking(10, "")
    for _ in range(5):
        assert reader.feed(b"ten bytes.") == b"ten bytes."
        reader.begin_anew()
