"""Compares answers with the OpenAPI document: whatever a test asks for, the answer has to be one that is documented."""

import re
from datetime import timedelta
from typing import Any

import httpx
import schemathesis


class Contract:
    """What the document promises."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schema = schemathesis.openapi.from_dict(document)
        self._paths = {re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))): path for path in document["paths"]}
        self._document = document

    async def kept(self, response: httpx.Response) -> None:
        """Fails when the status, the media type or the body is none that is documented for this route."""
        await response.aread()
        path, method = self._route(response.request), response.request.method
        operation = self._document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        told = operation["responses"].get(str(response.status_code))
        assert told is not None, f"{method} {path} answered {response.status_code}, which is not documented"
        media = response.headers.get("content-type", "").partition(";")[0]
        assert media in told.get("content", {media: {}}), f"{method} {path} answered with {media}"
        request = httpx.Request(method, response.request.url)  # without its body, which may have no end
        same = httpx.Response(response.status_code, headers=response.headers, content=response.content, request=request)
        same.elapsed = timedelta()
        self._schema[path][method].validate_response(same)

    def _route(self, request: httpx.Request) -> str:
        raw = request.url.raw_path.decode().partition("?")[0]
        return next((path for pattern, path in self._paths.items() if pattern.fullmatch(raw)), "")
