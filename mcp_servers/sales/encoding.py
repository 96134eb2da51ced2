"""Finds out in which encoding a text file is, without reading it whole into memory."""

import codecs
import re
from itertools import islice
from pathlib import Path

from mcp_servers.base.serving import StartupError

ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
# By how much an encoding has to be likelier than the next, in charset-normalizer's measures.
LESS_CHAOS, MORE_COHERENCE = 0.05, 0.15
BLOCK, JUDGED = 1024 * 1024, 64 * 1024


def unicode_of(file: Path) -> str | None:
    """The Unicode encoding of the file, if it is in one."""
    with file.open("rb") as content:
        first = content.read(4)
        if first in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
            return "utf-32"
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(first)
            while block := content.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return None
    return "utf-8"


def detected(file: Path, settings_file: Path) -> str:
    """The likeliest encoding. Raises StartupError if another one that gives another text is nearly as likely."""
    from charset_normalizer import from_bytes  # noqa: PLC0415

    with file.open("rb") as content:
        telling = (line for line in content if not line.isascii())
        judged = b"".join(islice(telling, 1000))[:JUDGED]
    western = judged.decode("cp1252", errors="replace")
    if not any(sign.isalpha() or sign == "\ufffd" for sign in western if not sign.isascii()):
        return "cp1252"  # signs such as those of currencies alone; elsewhere these would be letters
    found = list(from_bytes(judged, cp_isolation=list(ENCODINGS)))
    best = found[0] if found else None
    rivals = [
        each
        for each in found[1:]
        if best
        and str(each) != str(best)
        and each.chaos <= best.chaos + LESS_CHAOS
        and each.coherence >= best.coherence - MORE_COHERENCE
    ]
    if best and not rivals:
        return next(name for name in ENCODINGS if name in best.could_be_from_charset)
    read = {name: text for each in [*found[:1], *rivals] for name, text in ((each.encoding, str(each)),)}
    if "\ufffd" not in western:
        read = {"cp1252": western} | read
    likely = " or ".join(f'"{name}" ({_glimpse(text)})' for name, text in list(read.items())[:5])
    raise StartupError(
        f"it is not UTF-8; say in {settings_file} which encoding it has, or save it as UTF-8. "
        f"encoding = {likely or '...'}"
    )


def _glimpse(text: str) -> str:
    return next((word for word in re.findall(r"\w+", text) if not word.isascii()), "")[:20]
