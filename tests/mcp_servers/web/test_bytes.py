"""From the bytes of a page to its text: what is unpacked, and in which charset."""

import gzip
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers.web import reading
from mcp_servers.web.reading import decoded
from tests.mcp_servers.web.test_reading import GERMAN


def test_what_is_unpacked_ends_at_the_limit() -> None:
    assert len(reading.unpacked(gzip.compress(b"a" * 50_000_000), 1000)) == 1000


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (GERMAN.encode(), "utf-8"),
        (GERMAN.encode(), ""),
        (GERMAN.encode(), "iso-8859-1"),  # a lie
        (GERMAN.encode("cp1252"), "windows-1252"),
        (GERMAN.encode("cp1252"), "iso-8859-1"),  # what everybody means by it
        (GERMAN.encode("cp1252"), "us-ascii"),
        (GERMAN.encode("utf-16-le"), "utf-16le"),
        (b"<meta charset='windows-1252'>" + GERMAN.encode("cp1252"), ""),
        (b"<meta charset='windows-1252'>" + GERMAN.encode("cp1252"), "utf-8"),  # a lie
        (b"<meta charset='windows-1252'>" + GERMAN.encode("cp1252"), "no-such-charset"),
        (b"<meta charset='windows-1252'>" + GERMAN.encode("cp1252"), "zip"),  # a codec, and none of text
        (b"<meta charset='windows-1252'>" + GERMAN.encode("cp1252"), "hex"),
        (GERMAN.encode("cp1252"), "rot13"),  # then it is guessed
    ],
)
def test_a_charset_is_told_by_the_bytes_before_it_is_believed(body: bytes, told: str) -> None:
    assert decoded(body, told).endswith(GERMAN)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + GERMAN.encode(),
        b"\xff\xfe" + GERMAN.encode("utf-16-le"),
        b"\xfe\xff" + GERMAN.encode("utf-16-be"),
    ],
)
@pytest.mark.parametrize("told", ["windows-1252", "utf-8", ""])
def test_a_byte_order_mark_is_believed_before_everything_else_and_is_no_text(body: bytes, told: str) -> None:
    assert decoded(body, told) == GERMAN


@pytest.mark.parametrize(("name", "text"), [("shift_jis", "充電器は百二十三基です。"), ("iso-2022-jp", "充電器です。")])
def test_charsets_of_other_scripts_are_read_when_they_are_told(name: str, text: str) -> None:
    assert decoded(text.encode(name), name) == text
    assert decoded(
        f"<meta http-equiv=content-type content='text/html; charset={name}'>{text}".encode(name), ""
    ).endswith(text)


@given(st.binary(max_size=200), st.sampled_from(sorted(aliases)) | st.text(max_size=20))
def test_bytes_without_sense_are_text_all_the_same(body: bytes, told: str) -> None:
    assert isinstance(decoded(body, told), str)
