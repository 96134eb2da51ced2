"""The client reaches public addresses, and nothing else, however they are written, named or redirected to."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_http.public import LONGEST_URL, TRIED, AddressRefused, Unusable, checked_url, client, resolved
from tests.certificates import certificate
from tests.raw_server import Names, Wire, raw_server, status

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:4700::1111"
NAME = "hooks.example.com"

HOSTILE_TEXT = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 233.252.0.1 239.255.255.250
240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:a00:1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:0:7f00:1
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 100:0:0:1::1
2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:808:808::
3fff::1 4000::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::a9fe:a9fe fec0::1 ff02::1 ff0e::1
"""
HOSTILE = HOSTILE_TEXT.split()
FINE = [PUBLIC, PUBLIC_6, "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2001:4860:4860::8888"]
FINE += ["::ffff:8.8.8.8", "64:ff9b::808:808", "192.0.1.1", "223.255.255.255"]
SPELLINGS_TEXT = """
127.1 127.0.1 0x7f.1 0x7f.0.0.1 0X7F000001 2130706433 0177.0.0.1 017700000001 127.0.0.01 0 0x 00000000 1.2.3.4.5
127.0.0.1. 2852039166 0xa9fea9fe 169.254.43518 8.8.8.08 134744072 ①②⑦.0.0.1 \uff11\uff12\uff17.0.0.1 ⓛocalhost
%31%32%37.0.0.1 127.0.0.1%00.example.com 127.0.0.1%2eexample.com [fe80::1%25eth0] [::1%25lo] [127.0.0.1] [::1
"""
SPELLINGS = SPELLINGS_TEXT.split()
LOCAL = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "redis", "printer.local", "metadata.google.internal"]
LOCAL += ["nas.home.arpa", "kubernetes.default.svc.cluster.local"]
UNUSABLE = [
    "",
    "example.com/hook",
    "//example.com/hook",
    "http:///hook",
    "http:example.com",
    " https://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "redis://example.com/",
    "javascript:alert(1)",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example..com/",
    "https://-example.com/",
    "https://*.example.com/",
    "https://exam ple.com/",
    "https://example.com/\r\nhost: other",
    "https://example.com/\ud800",
    f"https://{'a' * 64}.com/",
    f"https://{'a.' * 130}com/",
    f"https://example.com/{'a' * LONGEST_URL}",
]


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


# -- what is reached --


def test_there_are_enough_hostile_addresses() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize("address", HOSTILE)
async def test_a_hostile_address_is_refused_written_or_resolved(address: str) -> None:
    wire, names = Wire(port=9), Names([[address]])
    with pytest.raises(AddressRefused):
        checked_url(f"http://{in_url(address)}/", allow_private=False)
    async with client(False, 5, resolve=names, network=wire) as http:
        with pytest.raises(AddressRefused):
            await http.get(f"http://{in_url(address)}/")
        with pytest.raises(AddressRefused, match="does not have a public address"):
            await http.get(f"http://{NAME}/")
    assert (wire.addresses, names.asked) == ([], [NAME])


@pytest.mark.parametrize("address", FINE)
async def test_a_public_address_is_reached_written_or_resolved(address: str) -> None:
    async with raw_server(status("200 OK")) as server:
        wire = Wire(server.port)
        async with client(False, 5, resolve=Names([[address]]), network=wire) as http:
            assert (await http.get(checked_url(f"http://{in_url(address)}/", allow_private=False))).is_success
            assert (await http.get(checked_url(f"http://{NAME}/", allow_private=False))).is_success
    assert [ip_address(each) for each in wire.addresses] == [ip_address(address)] * 2


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_fares_alike_in_every_form_that_leads_to_it(address: IPv4Address) -> None:
    def refused(shown: str) -> bool:
        try:
            checked_url(f"http://{shown}/", allow_private=False)
        except AddressRefused:
            return True
        return False

    mapped, translated = IPv6Address(f"::ffff:{address}"), IPv6Address(f"64:ff9b::{address}")
    assert refused(f"[{mapped}]") == refused(f"[{translated}]") == refused(str(address))
    if not address.is_global:
        assert refused(str(address))
    assert refused(f"[{IPv6Address(0x2002 << 112 | int(address) << 80)}]")


@given(st.ip_addresses(v=6).filter(lambda each: each not in ip_network("2000::/3")))
def test_ipv6_outside_the_range_given_out_is_refused(address: IPv6Address) -> None:
    if address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"):
        with pytest.raises(AddressRefused):
            checked_url(f"http://[{address}]/", allow_private=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1"])
def test_private_addresses_can_be_allowed(address: str) -> None:
    assert checked_url(f"http://{in_url(address)}/", allow_private=True)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1"]
)
def test_where_clouds_keep_credentials_is_never_allowed(address: str) -> None:
    with pytest.raises(AddressRefused):
        checked_url(f"http://{in_url(address)}/", allow_private=True)


# -- names --


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC_6, PUBLIC, "::1"]])
async def test_a_name_with_one_private_address_is_refused(answer: list[str]) -> None:
    wire = Wire(port=9)
    async with client(False, 5, resolve=Names([answer]), network=wire) as http:
        with pytest.raises(AddressRefused):
            await http.get(f"http://{NAME}/")
    assert wire.addresses == []


async def test_a_private_address_behind_many_public_ones_is_found() -> None:
    wire = Wire(port=9)
    async with client(False, 5, resolve=Names([[PUBLIC] * (TRIED + 1) + ["127.0.0.1"]]), network=wire) as http:
        with pytest.raises(AddressRefused):
            await http.get(f"http://{NAME}/")


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    async with raw_server(status("200 OK", connection="close")) as server:
        wire, names = Wire(server.port), Names([[PUBLIC], ["127.0.0.1"]])
        async with client(False, 5, resolve=names, network=wire) as http:
            assert (await http.get(f"http://{NAME}/")).is_success
            assert (names.asked, wire.addresses) == ([NAME], [PUBLIC])
            with pytest.raises(AddressRefused):
                await http.get(f"http://{NAME}/")
    assert (wire.addresses, server.connections) == ([PUBLIC], 1)
    assert server.received[0].headers["host"] == NAME


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with raw_server(status("200 OK")) as server:
        wire = Wire(server.port, down={PUBLIC_6})
        async with client(False, 5, resolve=Names([[PUBLIC_6, PUBLIC]]), network=wire) as http:
            assert (await http.get(f"http://{NAME}/")).is_success
    assert wire.addresses == [PUBLIC_6, PUBLIC]
    assert wire.timeouts == [2.5, 2.5], "an address that is silent must leave time for the next"


async def test_of_many_addresses_only_some_are_tried() -> None:
    many = [f"93.184.215.{n}" for n in range(100)]
    wire = Wire(port=9, down=set(many))
    async with client(False, 5, resolve=Names([many]), network=wire) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://{NAME}/")
    assert wire.addresses == many[:TRIED]


async def test_a_name_that_leads_nowhere_is_a_connection_error() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    for resolve in (unknown, Names([[]])):
        async with client(False, 5, resolve=resolve) as http:
            with pytest.raises(httpx.ConnectError, match=NAME):
                await http.get(f"http://{NAME}/")


async def test_resolving_takes_no_longer_than_connecting_may() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with client(False, 0.05, resolve=never) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get(f"http://{NAME}/")


async def test_the_real_resolver_knows_loopback() -> None:
    assert set(await resolved("localhost", 80)) <= {"127.0.0.1", "::1"}
    async with raw_server(status("200 OK")) as server:
        async with client(True, 5) as http:
            assert (await http.get(f"http://localhost:{server.port}/")).is_success
        async with client(False, 5) as http:
            with pytest.raises(AddressRefused):
                await http.get(f"{server.url}/")
    assert server.connections == 1


# -- URLs --


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("url", [*UNUSABLE, *(f"http://{host}/" for host in SPELLINGS)])
async def test_an_unusable_url_is_refused_in_one_line(url: str, allow_private: bool) -> None:
    with pytest.raises(Unusable) as error:
        checked_url(url, allow_private)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200
    assert "password@" not in str(error.value)
    wire = Wire(port=9)
    async with client(allow_private, 5, resolve=Names([["127.0.0.1"]]), network=wire) as http:
        if len(url) < LONGEST_URL:
            with pytest.raises((Unusable, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)):
                await http.get(url)
    assert wire.addresses == []


@pytest.mark.parametrize("host", LOCAL)
def test_a_local_name_is_refused_unless_private_places_are_allowed(host: str) -> None:
    with pytest.raises(AddressRefused, match="is a local name"):
        checked_url(f"https://{host}/", allow_private=False)
    assert checked_url(f"https://{host}/", allow_private=True)


@pytest.mark.parametrize(
    ("url", "understood"),
    [
        ("HTTPS://Hooks.Example.COM/A?b=C", "https://hooks.example.com/A?b=C"),
        ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/"),
        ("https://münchen.example/ü", "https://xn--mnchen-3ya.example/%C3%BC"),
        ("https://under_score.example.com./", "https://under_score.example.com./"),
    ],
)
def test_a_url_is_stored_as_it_is_understood(url: str, understood: str) -> None:
    assert checked_url(url, allow_private=False) == understood
    assert checked_url(understood, allow_private=False) == understood


def test_an_address_with_the_full_stops_of_another_script_is_that_address() -> None:
    with pytest.raises(AddressRefused):
        checked_url("http://127。0。0。1/", allow_private=False)
    assert checked_url("http://127。0。0。1/", allow_private=True) == "http://127.0.0.1/"


# -- the rest of the way --


async def test_a_redirect_is_not_followed_and_following_it_by_hand_is_checked() -> None:
    async with (
        raw_server(status("200 OK")) as inside,
        raw_server(status("302 Found", location=f"{inside.url}/secret")) as outside,
    ):
        wire = Wire(outside.port)
        async with client(False, 5, resolve=Names([[PUBLIC]]), network=wire) as http:
            assert (await http.get(f"http://{NAME}/")).status_code == 302
            with pytest.raises(AddressRefused):
                await http.get(f"http://{NAME}/", follow_redirects=True)
    assert inside.connections == 0
    assert wire.addresses == [PUBLIC]


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    async with raw_server(status("200 OK")) as proxy, raw_server(status("200 OK")) as server:
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with client(True, 5) as http:
            await http.get(server.url)
    assert (proxy.connections, server.connections) == (0, 1)
    assert "authorization" not in server.received[0].headers


async def test_cookies_are_not_kept() -> None:
    async with raw_server(status("200 OK", set_cookie="who=first")) as server, client(True, 5) as http:
        await http.get(server.url)
        await http.get(server.url)
    assert ["cookie" in each.headers for each in server.received] == [False, False]


async def test_tls_verifies_the_name_and_sends_it(tmp_path: Path) -> None:
    of_server, of_client = certificate(tmp_path, NAME)
    sent: list[str | None] = []
    of_server.sni_callback = lambda _socket, name, _context: sent.append(name)
    async with raw_server(status("200 OK"), of_server) as server:
        wire, names = Wire(server.port), Names([[PUBLIC]])
        async with client(False, 5, resolve=names, network=wire, tls=of_client) as http:
            assert (await http.get(f"https://{NAME}/")).is_success
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await http.get("https://other.example.com/")
    assert sent == [NAME, "other.example.com"]
    assert len(server.received) == 1


async def test_certificates_are_verified_by_default(tmp_path: Path) -> None:
    of_server, _ = certificate(tmp_path, NAME)
    async with (
        raw_server(status("200 OK"), of_server) as server,
        client(False, 5, resolve=Names([[PUBLIC]]), network=Wire(server.port)) as http,
    ):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await http.get(f"https://{NAME}/")
    assert server.received == []
