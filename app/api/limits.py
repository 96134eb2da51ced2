"""The maximum size of a request."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 64 * 1024


class BodyLimit:
    """Refuses a body that is too large: by its Content-Length, else as soon as it exceeds the limit.

    Raises an HTTPException, because FastAPI takes any other error while reading a body for a malformed one. (FastAPI's
    own `max_body_size` answers some of these in plain text.)
    """

    def __init__(self, app: ASGIApp, most: int = BODY_BYTES) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        # More digits are too large anyway, and int() accepts only so many.
        if not declared.isdecimal() or len(declared) > 15 or int(declared) > self.most:
            raise _too_large()
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                raise _too_large()
            return message

        return await self.app(scope, limited, send)


def _too_large() -> HTTPException:
    return HTTPException(413, headers={"Connection": "close"})
