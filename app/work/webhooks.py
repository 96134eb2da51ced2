"""Sends webhooks, signed according to Standard Webhooks (https://www.standardwebhooks.com).

One call is one attempt. The queue decides about the next one, by the error, by `delay`, and by the setting
`webhook_attempts`. Receivers recognise repetitions by `webhook-id`.
"""

import asyncio
import contextlib
import email.utils
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr
from standardwebhooks import Webhook

from app.config.settings import Settings
from app.errors import BadInput, WebhookFailed, WebhookRefused
from graphs.clock import utc_now
from graphs.state import Json
from safe_http.public import Unusable, checked_url

FIRST_S, LONGEST_S = 5.0, 3600.0
GROWTH = 3  # so that the seven waits between eight attempts grow from the first to the longest
BODY_BYTES = 4096  # read of a response
BODY_S = 1.0
TRY_AGAIN = {408, 409, 425, 429}


class Webhooks:
    """Sends webhooks.

    Args:
        http: a client that refuses private addresses (`safe_http.public.client`).
        secret: the signing key; `whsec_` and base64.
        timeout_s: seconds within which the receiver must answer.
        now: the time, in UTC.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        secret: SecretStr,
        *,
        timeout_s: float = 10.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._http = http
        self._key = Webhook(secret.get_secret_value())
        self._timeout_s = timeout_s
        self._now = now

    async def send(self, url: str, webhook_id: str, kind: str, data: Json, *, at: datetime | None = None) -> None:
        """Make one attempt.

        Args:
            url: the receiver.
            webhook_id: the same for all attempts of one message.
            kind: the event type, such as `job.completed`.
            data: the payload.
            at: the time of the event; default: now.

        Raises:
            WebhookRefused: a retry is pointless.
            WebhookFailed: a retry may succeed.
        """
        now = self._now()
        body = json.dumps({"type": kind, "timestamp": (at or now).isoformat(), "data": data}, allow_nan=False)
        headers = {
            "content-type": "application/json",
            "user-agent": "tollgate",
            "accept-encoding": "identity",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._key.sign(webhook_id, now, body),
        }
        response = await self._answer(url, headers, body)
        if not response.is_success:
            raise _error(response, self._now())

    async def _answer(self, url: str, headers: dict[str, str], body: str) -> httpx.Response:
        try:
            request = self._http.build_request("POST", url, headers=headers, content=body)
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.send(request, stream=True)
        except (Unusable, httpx.InvalidURL) as error:
            raise WebhookRefused(f"the webhook cannot be sent: {error}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise WebhookFailed(f"{request.url.host} did not answer in {self._timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise WebhookFailed(f"{request.url.host} cannot be reached: {error}") from error
        await _finished(response)
        return response


def checked_webhook_url(url: str, settings: Settings) -> str:
    """A request's webhook URL, as it is stored.

    Raises:
        BadInput: it is unusable, or webhooks are disabled.
    """
    if settings.webhook_secret is None:
        raise BadInput("webhooks are disabled: TOLLGATE_WEBHOOK_SECRET is not set; omit webhook_url")
    try:
        return checked_url(url, settings.webhook_allow_private)
    except Unusable as error:
        raise BadInput(f"webhook_url: {error}") from error


def checked_alert_url(settings: Settings) -> str | None:
    """Where alerts go. Raises BadInput if that cannot be reached."""
    if settings.alert_webhook_url is None:
        return None
    try:
        return checked_url(str(settings.alert_webhook_url), settings.webhook_allow_private)
    except Unusable as error:
        raise BadInput(f"TOLLGATE_ALERT_WEBHOOK_URL: {error}") from error


def delay(attempt: int) -> float:
    """Seconds to wait after this many failed attempts: exponential backoff with full jitter."""
    longest: float = min(LONGEST_S, FIRST_S * GROWTH ** min(attempt - 1, 10))
    return random.uniform(0, longest)  # noqa: S311  jitter, not a secret


async def _finished(response: httpx.Response) -> None:
    """Read the rest of a short response, so that the connection can be reused; abort any other."""
    read = 0
    try:
        with contextlib.suppress(httpx.HTTPError, TimeoutError):  # the status is known, and only that counts
            async with asyncio.timeout(BODY_S):
                async for part in response.aiter_raw():
                    read += len(part)
                    if read > BODY_BYTES:
                        break
    finally:
        await response.aclose()


def _error(response: httpx.Response, now: datetime) -> WebhookRefused | WebhookFailed:
    status, host = response.status_code, response.request.url.host
    said = f"{host} answered {status} {response.reason_phrase}".rstrip()
    if response.is_client_error and status not in TRY_AGAIN:
        return WebhookRefused(said)
    if response.is_redirect:
        said += "; redirects are not followed, so the webhook needs the final address"
    return WebhookFailed(said, _retry_after(response.headers.get("retry-after"), now))


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait, at most an hour; None if the header is missing or cannot be read."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return min(LONGEST_S, float(text))
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
    return min(LONGEST_S, max(0.0, seconds))
