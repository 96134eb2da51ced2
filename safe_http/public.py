"""An HTTP client for untrusted URLs: it cannot reach private addresses (SSRF).

A name is resolved once, all its addresses are checked, and the connection goes to a checked address. So a name that
resolves to something else a moment later (DNS rebinding) gains nothing. TLS still verifies the name. Every request is
checked, so following a redirect by hand is as safe as the first request.

With `allow_private`, loopback, private and carrier-grade NAT addresses can be reached too; link-local, multicast and
cloud metadata addresses never can.

Timeouts are per connect, read and write, as in httpx. Callers that need an overall deadline set their own.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore
import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]

LONGEST_URL = 2048
TRIED = 4  # addresses of one name

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*({_LABEL})\.?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # a name that ends so is an address in an odd spelling: 127.1, 0x7f.1
_LOCAL_NAME = re.compile(r"[^.]+|(?:.+\.)?(?:localhost|local|internal|home\.arpa)")

_NAT64 = ip_network("64:ff9b::/96")
_IPV6_UNICAST = ip_network("2000::/3")  # all that IANA has allocated
# Special-purpose ranges (IANA registries) that `is_global` accepts in some versions of Python.
_SPECIAL = [
    ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
_PRIVATE = [
    ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1", "fc00::/7")
]
# Metadata services outside the link-local range: Azure, Alibaba Cloud, AWS, Google Cloud.
_METADATA = {ip_address(each) for each in ("168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254")}


class Unusable(Exception):
    """An unusable URL. The message is one line and says what is wrong."""


class AddressRefused(Unusable):
    """An address that is not public, or a name that resolves to one."""


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order to try them. Raises socket.gaierror."""
    loop = asyncio.get_running_loop()
    return [str(found[4][0]) for found in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def client(
    allow_private: bool,
    timeout_s: float,
    *,
    resolve: Resolve = resolved,
    network: httpcore.AsyncNetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """A client that follows no redirects, keeps no cookies and takes nothing from the environment.

    Besides httpx errors, its requests raise Unusable for an invalid URL and AddressRefused for a forbidden address.

    Args:
        allow_private: whether private and loopback addresses may be reached.
        timeout_s: seconds for connecting (including resolving), for each read and for each write.
        resolve: returns the addresses of a name.
        network: opens connections; only gets checked addresses.
        tls: trusted certificates; by default certifi's.
    """
    return httpx.AsyncClient(
        transport=_Transport(
            allow_private,
            _Network(allow_private, resolve, network or httpcore.AnyIOBackend()),
            tls or httpx.create_ssl_context(trust_env=False),
        ),
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # no cookies are kept
    )


def checked_url(text: str, allow_private: bool) -> str:
    """The URL, normalized as the client does. Its name is not resolved: it may resolve to something else later.

    Raises:
        Unusable: it is invalid.
        AddressRefused: its host is a private address or a local name.
    """
    if len(text) > LONGEST_URL:
        raise Unusable(f"the URL is longer than {LONGEST_URL} characters")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise Unusable("the URL cannot be read; write one like https://example.com/path") from error
    _check(url, allow_private)
    return str(url)


def _check(url: httpx.URL, allow_private: bool) -> None:
    if url.scheme not in {"http", "https"}:
        raise Unusable("the URL must begin with http:// or https://")
    if url.userinfo:
        raise Unusable("the URL must not contain a user name or password")
    if url.port is not None and not 0 < url.port < 65536:
        raise Unusable("the port of the URL must be between 1 and 65535")
    host = url.raw_host.decode("ascii")
    if address := _literal(host):
        _check_address(host, address, allow_private)
        return
    name = _NAME.fullmatch(host)
    if name is None or _NUMBER.fullmatch(name[1]):
        raise Unusable("the host of the URL is neither a domain name nor an IP address in its usual spelling")
    if not allow_private and _LOCAL_NAME.fullmatch(host.rstrip(".")):
        raise AddressRefused(f"{host} is a local name; only public addresses can be reached from here")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def _check_address(host: str, address: IPv4Address | IPv6Address, allow_private: bool) -> None:
    meant = _meant(address)
    private = any(meant in network for network in _PRIVATE)
    if meant in _METADATA or not (_is_public(meant) or (allow_private and private)):
        raise AddressRefused(f"{host} does not have a public address; only those can be reached from here")


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that a connection reaches: the embedded IPv4 address, if it is mapped or translated (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in network for network in _SPECIAL):
        return False
    return isinstance(address, IPv4Address) or address in _IPV6_UNICAST


class _Transport(httpx.AsyncHTTPTransport):
    """Checks each URL, and connects through the given network only."""

    def __init__(self, allow_private: bool, network: "_Network", tls: ssl.SSLContext) -> None:
        # super().__init__ would create a pool without our network. If httpx ever renames its pool, nothing is sent.
        self._allow_private = allow_private
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=network,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _check(request.url, self._allow_private)
        return await super().handle_async_request(request)


class _Network(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only; Unix sockets are not supported."""

    def __init__(self, allow_private: bool, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                share = timeout and timeout / len(addresses)
                for address in addresses[:-1]:
                    with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                        return await self._network.connect_tcp(address, port, share, local_address, socket_options)
                return await self._network.connect_tcp(addresses[-1], port, share, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host} in {timeout} s") from error

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses to try. A name with one forbidden address is refused."""
        try:
            found = [host] if _literal(host) else await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        for address in found:
            _check_address(host, ip_address(address), self._allow_private)
        return found[:TRIED]
