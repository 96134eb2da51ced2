"""HTTP requests to an API, retried while that helps and is safe. Every failure is one line that says what to do."""

import contextlib
import json
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic import BaseModel, HttpUrl, SecretStr, TypeAdapter, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from app.errors import ApiFailed, ApiRefused, AppError, BadInput
from safe_http.bodies import Unpacking

Json = dict[str, Any]

TIMEOUT_S = 30.0
CONNECT_S = 5.0
IS_IT = "is it the address of a Tollgate API? See --url and TOLLGATE_URL"
LONGEST = 400  # characters of a server's message, in an error
MOST_BYTES = 64 * 1024 * 1024  # in a response: a report with its evidence
MOST_OF_AN_EVENT = 4 * 1024 * 1024
_OF_THE_BODY = {"content-encoding", "content-length", "transfer-encoding"}
_AWAY = {502, 503, 504}
_BACKOFF = wait_random_exponential(multiplier=0.2, max=5)
_URL = TypeAdapter(HttpUrl)
_HINTS = {
    401: "set TOLLGATE_API_KEY to a valid key (`tollgate keys create` makes one)",
    403: "set TOLLGATE_API_KEY to a key that has it",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `path` is relative to the API's address; `body` is sent as JSON; `headers` are added to the key."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    body: Json | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class _Problem(BaseModel):
    """The used fields of a problem document (RFC 9457)."""

    type: str
    detail: str
    request_id: str = ""


class _Again(Exception):
    """A failed attempt that may be retried, and the error if it is not."""

    def __init__(self, failure: AppError, retry_after_s: float = 0) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.retry_after_s = retry_after_s


class Requests:
    """A connection to one API.

    Args:
        http: a client with the API's address as its base, and the key.
        say: called when an attempt is retried, once per request.
    """

    def __init__(self, http: httpx.Client, say: Callable[[str], None]) -> None:
        self._http = http
        self._say = say
        self.url = str(http.base_url).rstrip("/")

    def send(
        self, ask: Ask, patience_s: float, *, repeatable: bool = True, stream_silent_s: float | None = None
    ) -> httpx.Response:
        """The response to a successful request.

        Args:
            ask: the request.
            patience_s: seconds for which it is retried when there is no connection, or after 429, 502, 503 and 504.
            repeatable: whether it may be sent again when its outcome is unknown.
            stream_silent_s: if given, the body is not read here, and may be silent for this many seconds.

        Raises:
            ApiRefused: the API refuses.
            ApiFailed: it is unreachable, has failed, or is not a Tollgate API.
        """
        content = None if ask.body is None else json.dumps(ask.body).encode()
        request = self._http.build_request(
            ask.method,
            ask.path,
            content=content,
            params=ask.params,
            headers={**({"Content-Type": "application/json"} if content else {}), **ask.headers},
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S, read=stream_silent_s or TIMEOUT_S),
        )
        retrying = Retrying(
            retry=retry_if_exception_type(_Again),
            wait=_wait,
            stop=stop_before_delay(patience_s),
            before_sleep=self._told(patience_s),
            reraise=True,
        )
        try:
            return retrying(self._once, request, repeatable, stream_silent_s is not None)
        except _Again as again:
            raise again.failure from again

    def _once(self, request: httpx.Request, repeatable: bool, streamed: bool) -> httpx.Response:
        try:
            response = self._http.send(request, stream=True)
            if not (streamed and response.is_success):
                response = _read(response)
        except httpx.RequestError as error:
            failure = ApiFailed(self._why(error))
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            if _hopeless(error) or not (unsent or repeatable):
                raise failure from error
            raise _Again(failure) from error
        if response.is_success:
            return response
        failed = self._refusal(response)
        if response.status_code == 429 or (repeatable and response.status_code in _AWAY):
            raise _Again(failed, _retry_after_s(response))
        raise failed

    def _told(self, patience_s: float) -> Callable[[RetryCallState], None]:
        def tell(state: RetryCallState) -> None:
            if state.attempt_number == 1 and state.outcome:
                self._say(f"{state.outcome.exception()}; retrying for {patience_s:.0f} s")

        return tell

    def _why(self, error: httpx.RequestError) -> str:
        """Why a request got no response, and what to do."""
        causes = list(_causes(error))
        told = next((_one_line(str(each)) for each in causes if str(each)), type(error).__name__)
        if any(isinstance(each, ssl.SSLError) for each in causes):
            return f"no secure connection to {self.url} ({told}); correct the address, or name your CA in SSL_CERT_FILE"
        if isinstance(error, httpx.ProxyError):
            return f"the proxy does not reach {self.url} ({told}); check HTTPS_PROXY and NO_PROXY"
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} does not answer in time; try again, or ask its operator"
        if isinstance(error, httpx.ConnectError):
            return f"nothing answers at {self.url} ({told}); start it (tollgate serve), or give another --url"
        return f"the connection to {self.url} broke ({told}); {IS_IT}"

    def _refusal(self, response: httpx.Response) -> AppError:
        """The error of an unsuccessful response, and what to do."""
        status = response.status_code
        try:
            problem = _Problem.model_validate_json(response.content)
        except ValidationError:
            away = status in _AWAY
            return ApiFailed(f"{self.url} answers {status}; {'try again later' if away else IS_IT}")
        told = _one_line(problem.detail)
        if status >= 500:
            return ApiFailed(
                f"{self.url} has failed: {told} (status {status}, request {_one_line(problem.request_id)})"
            )
        if status == 401:
            told = told.partition(";")[0]  # the rest is meant for programs
        if status == 429:
            told = f"too many requests; wait {_retry_after_s(response):.0f} s"
        hint = "`tollgate list` shows yours" if problem.type.endswith("/no-such-job") else _HINTS.get(status)
        return ApiRefused(f"{told.rstrip('.')}; {hint}" if hint else told)


@contextlib.contextmanager
def opened(url: str, api_key: SecretStr | None, say: Callable[[str], None]) -> Iterator[Requests]:
    """A connection to the API at this address, until the block ends.

    Raises:
        BadInput: the address or the key is unusable.
    """
    key = api_key.get_secret_value() if api_key else None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise BadInput("TOLLGATE_API_KEY is not a valid key; `tollgate keys create` makes one")
    headers = {"Accept": "application/json, */*;q=0.1", "Accept-Encoding": "gzip", "User-Agent": "tollgate"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    address = checked_url(url)
    try:
        # The environment's proxy cannot reach this machine.
        http = httpx.Client(base_url=address, headers=headers, trust_env=not _is_here(address))
    except (OSError, ValueError) as error:  # from proxies and certificates in the environment
        raise BadInput(
            f"the environment's proxy or certificates are unusable: {error}; check HTTPS_PROXY and SSL_CERT_FILE"
        ) from error
    with http:
        yield Requests(http, say)


def checked_url(url: str) -> str:
    """The complete address of an API. Raises BadInput."""
    try:
        found = _URL.validate_python(url)
    except ValidationError as error:
        raise BadInput(
            f"--url is not an address ({error.errors()[0]['msg']}); example: http://127.0.0.1:8000"
        ) from error
    if found.username or found.password or found.query or found.fragment:
        raise BadInput("--url has more than an address; the key goes into TOLLGATE_API_KEY")
    return str(found).rstrip("/")


def events(response: httpx.Response) -> httpx.Response:
    """An event stream with bounded events. Reading it raises httpx.DecodingError; the caller must close it."""

    def pieces() -> Iterator[bytes]:
        unpacking = Unpacking(response.headers, MOST_OF_AN_EVENT)
        for part in response.iter_raw():
            piece = unpacking.feed(part)
            if b"\n\n" in piece:
                unpacking.begin_anew()
            yield piece

    return httpx.Response(response.status_code, headers={"Content-Type": "text/event-stream"}, content=pieces())


def _read(response: httpx.Response) -> httpx.Response:
    """The response with its body, bounded in size. Raises httpx.RequestError."""
    with contextlib.closing(response):
        unpacking = Unpacking(response.headers, MOST_BYTES)
        content = b"".join(map(unpacking.feed, response.iter_raw()))
    kept = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_BODY]
    return httpx.Response(response.status_code, headers=kept, content=content, request=response.request)


def _is_here(url: str) -> bool:
    host = httpx.URL(url).host
    return host in {"localhost", "::1"} or host.startswith("127.")


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, _Again) else 0
    return asked + random.uniform(0, 1) if asked else _BACKOFF(state)  # noqa: S311  jitter


def _retry_after_s(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 0


def _hopeless(error: httpx.RequestError) -> bool:
    """Whether a retry would fail the same way: not TLS, an unknown host name, the wrong proxy."""
    gone = {socket.EAI_NONAME}
    unknown = any(isinstance(each, socket.gaierror) and each.errno in gone for each in _causes(error))
    secure = any(isinstance(each, ssl.SSLError) for each in _causes(error))
    return unknown or secure or isinstance(error, httpx.ProxyError | httpx.DecodingError | httpx.UnsupportedProtocol)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the root cause first."""
    if (earlier := error.__cause__ or error.__context__) is not None:
        yield from _causes(earlier)
    yield error


def _one_line(text: str) -> str:
    """A server's message, safe for a terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text[:LONGEST]).split())
