"""From bytes to text: in which encoding a file or page is."""

import re

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_META = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_META_WITHIN = 4096
# Encodings that pages name, and what they mean (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}

# What files are found in; rare encodings would make it unsure.
_COMMON = ["cp1252", "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "cp949"]
_ENOUGH = 5  # characters beyond ASCII to judge by
_CLEAR = 0.05  # lead of the best guess
# What a wrong encoding makes of letters: signs inside words, and words of two scripts.
_STRANGE = re.compile(
    r"[^\W\d][\u0080-\u00bf\u2020-\u2044\u20ac\u2122][^\W\d]|[a-z][\u0370-\u04ff]|[\u0370-\u04ff][a-z]"
)


def of_page(body: bytes, charset: str = "") -> str | None:
    """Decode a web page, whose server says `charset`: as UTF-8 if it is valid non-ASCII UTF-8, whatever is said.

    None if neither the server nor the page says its encoding.
    """
    if (text := _marked(body)) is not None:
        return text
    in_page = _META.search(body[:_META_WITHIN])
    said = [charset, in_page[1].decode("ascii", errors="ignore") if in_page else ""]
    for name in [*([] if body.isascii() else ["utf-8"]), *filter(None, said), "utf-8"]:
        try:
            return body.decode(_MEANT.get(name.lower(), name))
        except (UnicodeError, LookupError, ValueError):
            continue
    return None


def of_file(body: bytes) -> tuple[str, str] | None:
    """The text of a file and its encoding, if that is clear; else None."""
    if (text := _marked(body)) is not None:
        return text, ""
    try:
        return body.decode(), ""
    except UnicodeDecodeError:
        return _guessed(body)


def _marked(body: bytes) -> str | None:
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, errors="replace")
    return None


def _guessed(body: bytes) -> tuple[str, str] | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415  slow to load, and rarely needed

    if sum(each > 127 for each in body) < _ENOUGH or b"\0" in body:
        return None
    scores: dict[str, tuple[float, str]] = {}  # by text: encodings may differ in characters that it lacks
    for guess in from_bytes(body, cp_isolation=_COMMON):
        score = guess.coherence - 2 * guess.chaos, guess.encoding
        if score[0] > -_CLEAR and not _STRANGE.search(str(guess)):
            scores[str(guess)] = max(score, scores.get(str(guess), score))
    ranked = sorted(scores, key=lambda text: -scores[text][0])
    if not ranked or (len(ranked) > 1 and scores[ranked[0]][0] - scores[ranked[1]][0] < _CLEAR):
        return None
    return ranked[0], scores[ranked[0]][1]
