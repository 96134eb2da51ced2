"""An address as others may see it: in a log line, on a terminal, in an answer."""

import re

HIDDEN = "…"


def shown(address: str) -> str:
    """Of a URL, or of several with commas between them, no login, query or fragment, any of which may be a secret; of a
    command line its program. What cannot be told apart is left out."""
    return ",".join(_shown(each.strip()) for each in re.split(r",(?=\s*\w+://)", address))


def _shown(address: str) -> str:
    scheme, is_url, rest = address.partition("://")
    if not is_url:
        program = (address.split() or [""])[0]
        return HIDDEN if "@" in program else program
    where, *left_out = re.split(r"[?#]", rest, maxsplit=1)
    login_and_host, slash, path = where.partition("/")
    if "@" in path or any("@" in each for each in left_out):  # a login with characters that should be encoded
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{login_and_host.rpartition('@')[2]}{slash}{path}"
