"""Finds secrets among the configured values, for redaction."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pydantic import AnyUrl, BaseModel, SecretStr

_USER_INFO = re.compile(r"://([^\s/@,]+)@")
_PARAMETER = re.compile(r"[?&][\w-]*(?:password|key|token|secret)=([^&#\s]+)", re.IGNORECASE)
PLACES = {"redis_url", "sales_data"}  # may contain passwords; a path alone is not secret


def secrets_in(settings: BaseModel) -> Iterator[str]:
    """Keys, tokens and signing secrets, and passwords in addresses, each as it was meant. Users without a password
    count: they are tokens."""
    for name in type(settings).model_fields:
        yield from _of(getattr(settings, name), name)


def _of(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, SecretStr) and name not in PLACES:
        yield value.get_secret_value()
    elif isinstance(value, SecretStr | AnyUrl | str):
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for user in _USER_INFO.findall(text):
            yield unquote(user.partition(":")[2] or user)
        yield from map(unquote, _PARAMETER.findall(text))
    elif isinstance(value, BaseModel):
        yield from secrets_in(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _of(each, name)
