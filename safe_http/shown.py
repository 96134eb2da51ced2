"""Addresses without their secrets, for logs, terminals and responses."""

import re

HIDDEN = "…"


def shown(address: str) -> str:
    """URLs, separated by commas, without login, query and fragment; of a command line, only the program. What cannot be
    parsed safely is left out."""
    return ",".join(_shown(each.strip()) for each in re.split(r",(?=\s*\w+://)", address))


def _shown(address: str) -> str:
    scheme, is_url, rest = address.partition("://")
    if not is_url:
        program = (address.split() or [""])[0]
        return HIDDEN if "@" in program else program
    where, *left_out = re.split(r"[?#]", rest, maxsplit=1)
    login_and_host, slash, path = where.partition("/")
    if "@" in path or any("@" in each for each in left_out):  # a login with unencoded characters
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{login_and_host.rpartition('@')[2]}{slash}{path}"
