"""A page is fetched from public places only, over every hop, and where robots may go."""

import re
from pathlib import Path

import pytest

from mcp_servers.web.fetching import REDIRECTS, Fetcher, NotFetched
from mcp_servers.web.robots import MOST_BYTES as MOST_ROBOTS_BYTES
from tests.certificates import certificate
from tests.raw_server import raw_server, status
from tests.web_site import NAME, PUBLIC, PUBLIC_6, SENTENCE, Zone, asked, html, onward, page, public, site

# The process that reads pages belongs to an event loop: with one for all, it is started once.
pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = f"http://{NAME}/page"
PRIVATE = [
    *("127.0.0.1", "127.0.0.1:8000", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0"),
    *("169.254.169.254", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "localhost"),
    *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "metadata.google.internal"),
]
ALLOW_ALL = status("200 OK", b"User-agent: *\nDisallow:\n", content_type="text/plain")


async def refused(fetcher: Fetcher, url: str = URL) -> str:
    """Why it is not fetched, in one line that says what to do."""
    with pytest.raises(NotFetched) as error:
        await fetcher.page(url)
    told = str(error.value)
    assert "\n" not in told
    assert len(told) < 400
    return told


# -- what is asked --


async def test_a_page_is_fetched_from_a_public_address() -> None:
    async with site({"/page": html()}) as server:
        fetcher, wire = public(server)
        found, read = await fetcher.page(f"{URL}#part")
    assert (found, read.title) == (URL, "Charging in Portugal")
    assert SENTENCE in read.text
    assert set(wire.addresses) == {PUBLIC}
    assert asked(server) == ["/robots.txt", "/page"]
    sent = server.received[-1].headers
    assert sent["user-agent"].startswith("tollgate/")
    assert sent["accept-encoding"] == "gzip"
    assert sent["host"] == NAME
    assert not {"cookie", "authorization", "referer"} & set(sent)


async def test_a_cookie_of_one_page_is_not_sent_to_the_next() -> None:
    async with site({"/page": html(set_cookie="who=me"), "/next": html()}) as server:
        fetcher, _ = public(server)
        await fetcher.page(URL)
        await fetcher.page(f"http://{NAME}/next")
    assert asked(server)[-1] == "/next"
    assert not any("cookie" in each.headers for each in server.received)


# -- private places --


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_private_address_is_not_asked(host: str) -> None:
    async with raw_server(html()) as server:
        fetcher, wire = public(server)
        await refused(fetcher, f"http://{host}/")
    assert (wire.addresses, server.connections) == ([], 0)


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_redirect_to_a_private_address_is_not_followed(host: str) -> None:
    async with site({"/page": onward(f"http://{host}/secret")}) as server:
        fetcher, wire = public(server)
        await refused(fetcher)
    assert asked(server) == ["/robots.txt", "/page"]
    assert set(wire.addresses) == {PUBLIC}


async def test_a_redirect_into_a_server_of_this_machine_never_reaches_it() -> None:
    async with raw_server(html(page("the secret"))) as inside:
        for hops in (1, 3):
            routes = {f"/{n}": onward(f"http://{NAME}/{n + 1}") for n in range(1, hops)}
            async with site({**routes, f"/{hops}": onward(f"{inside.url}/secret")}) as outside:
                fetcher, _ = public(outside)
                assert "not have a public address" in await refused(fetcher, f"http://{NAME}/1")
            assert asked(outside)[-1] == f"/{hops}"
    assert inside.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1"])
async def test_a_name_of_a_private_address_is_not_asked(address: str) -> None:
    zone = Zone({NAME: [[PUBLIC]], "inside.example.com": [[address]], "half.example.com": [[PUBLIC, address]]})
    for name in ("inside.example.com", "half.example.com"):
        async with site({"/page": onward(f"http://{name}/")}) as server:
            fetcher, wire = public(server, zone)
            assert "not have a public address" in await refused(fetcher)
            assert "not have a public address" in await refused(fetcher, f"http://{name}/")
        assert set(wire.addresses) == {PUBLIC}


async def test_a_name_that_becomes_private_between_two_requests_is_not_asked_again() -> None:
    robots = status("404 Not Found", connection="close")
    async with site({"/robots.txt": robots, "/page": html()}) as server:
        zone = Zone({NAME: [[PUBLIC], ["127.0.0.1"]]})
        fetcher, wire = public(server, zone)
        assert "not have a public address" in await refused(fetcher)
    assert (asked(server), wire.addresses) == (["/robots.txt"], [PUBLIC])
    assert zone.asked == [NAME, NAME]


async def test_a_robots_txt_leads_to_no_private_place_either() -> None:
    async with raw_server(ALLOW_ALL) as inside, site({"/robots.txt": onward(f"{inside.url}/robots.txt")}) as server:
        fetcher, _ = public(server)
        await refused(fetcher)
    assert inside.connections == 0
    assert asked(server) == ["/robots.txt"]


async def test_public_ipv6_is_read() -> None:
    async with site({"/page": html()}) as server:
        fetcher, wire = public(server, Zone({NAME: [[PUBLIC_6]]}))
        await fetcher.page(URL)
    assert set(wire.addresses) == {PUBLIC_6}


async def test_private_places_can_be_allowed_and_those_with_credentials_cannot() -> None:
    async with site({"/page": html()}) as server:
        fetcher = Fetcher(allow_private=True)
        found, _ = await fetcher.page(f"{server.url}/page")
        assert found == f"{server.url}/page"
        assert "not have a public address" in await refused(fetcher, "http://169.254.169.254/latest/meta-data/")


# -- URLs --


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("file:///etc/passwd", "must begin with http"),
        ("ftp://pages.example.com/", "must begin with http"),
        ("gopher://pages.example.com/", "must begin with http"),
        ("pages.example.com", "must begin with http"),
        ("http://me:hunter2@pages.example.com/", "must not contain a user name or password"),
        (f"http://{NAME}:8080/", "has a non-standard port"),
        (f"http://{NAME}:6379/", "has a non-standard port"),
        (f"http://{NAME}/{'a' * 3000}", "longer than"),
    ],
)
async def test_a_url_that_is_none_of_the_webs_is_refused(url: str, told: str) -> None:
    async with raw_server(html()) as server:
        fetcher, wire = public(server)
        message = await refused(fetcher, url)
        assert told in message
        assert "hunter2" not in message
        async with site({"/page": onward(url)}) as outside:
            if url != "pages.example.com":  # which is a path, in a redirect
                assert await refused(public(outside)[0])
    assert (wire.addresses, server.connections) == ([], 0)


# -- redirects --


@pytest.mark.parametrize("code", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_followed_to_the_address_that_is_cited(code: str) -> None:
    async with site({"/page": onward("/b?x=1", code), "/b?x=1": html()}) as server:
        found, read = await public(server)[0].page(URL)
    assert found == f"http://{NAME}/b?x=1"
    assert SENTENCE in read.text


async def test_redirects_are_followed_so_many_times_and_no_more() -> None:
    routes = {f"/{n}": onward(f"/{n + 1}") for n in range(1, REDIRECTS + 2)}
    async with site({**routes, f"/{REDIRECTS + 1}": html()}) as server:
        assert (await public(server)[0].page(f"http://{NAME}/1"))[0] == f"http://{NAME}/{REDIRECTS + 1}"
    async with site({"/page": onward("/page")}) as server:
        assert f"more than {REDIRECTS}" in await refused(public(server)[0])
    assert asked(server).count("/page") == REDIRECTS + 1


async def test_https_is_not_left_for_http(tmp_path: Path) -> None:
    of_server, of_client = certificate(tmp_path, NAME)
    routes = {"/page": onward(f"http://{NAME}/b"), "/up": onward(f"https://{NAME}/b"), "/b": html()}
    async with site(routes, of_server) as server:
        fetcher, _ = public(server, tls=of_client)
        assert "from https to insecure http" in await refused(fetcher, f"https://{NAME}/page")
        assert (await fetcher.page(f"https://{NAME}/up"))[0] == f"https://{NAME}/b"
        assert "certificate verify failed" in await refused(public(server)[0], f"https://{NAME}/b")


# -- robots.txt --


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("User-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /pa", False),
        ("User-agent: *\nDisallow: /*ge$", False),
        ("User-agent: *\nAllow: /\nDisallow: /page", False),  # the longest match counts, not the first
        ("User-agent: *\nDisallow: /\nAllow: /page", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Tollgate\nDisallow: /other", True),
        ("User-agent: *\nDisallow:\n\nUser-agent: tollgate\nDisallow: /", False),
        ("User-agent: somebody\nDisallow: /", True),
        ("", True),
        ("<html>no rules at all</html>", True),
    ],
)
async def test_robots_txt_is_obeyed(rules: str, allowed: bool) -> None:
    robots = status("200 OK", rules.encode(), content_type="text/plain")
    async with site({"/robots.txt": robots, "/page": html()}) as server:
        fetcher, _ = public(server)
        if allowed:
            await fetcher.page(URL)
        else:
            assert "robots.txt" in await refused(fetcher)
    assert ("/page" in asked(server)) == allowed


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        (status("404 Not Found"), True),
        (status("403 Forbidden"), True),
        (onward("/robots.txt"), True),  # RFC 9309, 2.3.1.2: as if there were none
        (onward("/rules"), False),
        (status("503 Unavailable"), False),
        (status("200 OK", b"no gzip", content_encoding="gzip"), False),
    ],
)
async def test_without_rules_everything_is_allowed_and_nothing_where_that_cannot_be_told(answer, allowed) -> None:  # type: ignore[no-untyped-def]
    rules = status("200 OK", b"User-agent: *\nDisallow: /page", content_type="text/plain")
    async with site({"/robots.txt": answer, "/rules": rules, "/page": html()}) as server:
        fetcher, _ = public(server)
        if allowed:
            await fetcher.page(URL)
        else:
            assert "robots.txt" in await refused(fetcher)
    assert ("/page" in asked(server)) == allowed


async def test_rules_are_asked_for_once_a_site_and_for_every_site_on_the_way() -> None:
    zone = Zone({NAME: [[PUBLIC]], "other.example.com": [["93.184.215.15"]]})
    forbidding = status("200 OK", b"User-agent: *\nDisallow: /closed", content_type="text/plain")
    routes = {
        "/robots.txt": forbidding,
        "/page": html(),
        "/out": onward("http://other.example.com/closed"),
        "/closed": html(),
    }
    async with site(routes) as server:
        fetcher, wire = public(server, zone)
        await fetcher.page(URL)
        await fetcher.page(URL)
        assert re.search(
            r"robots.txt of http://other.example.com forbids", await refused(fetcher, f"http://{NAME}/out")
        )
    assert asked(server) == ["/robots.txt", "/page", "/page", "/out", "/robots.txt"]
    assert wire.addresses[-1] == "93.184.215.15"


async def test_of_a_long_robots_txt_the_beginning_counts() -> None:
    rules = b"User-agent: *\nDisallow: /page\n" + b"# and so on\n" * (MOST_ROBOTS_BYTES // 8)
    async with site({"/robots.txt": status("200 OK", rules), "/page": html()}) as server:
        assert "robots.txt" in await refused(public(server)[0])
    assert asked(server) == ["/robots.txt"]
