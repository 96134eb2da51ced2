"""The sales server as a program over a Postgres database: the password reaches it, and nobody else sees it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import AnyHttpUrl, SecretStr

from app.config.data_settings import McpServer
from app.config.servers import NAMES
from app.config.settings import Settings
from app.running.processes import Addresses, running
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from tests.app.command_line import tollgate
from tests.mcp_servers.postgres_server import Server
from tests.mcp_servers.program import refused
from tests.mcp_servers.waiting import soon

SALES = "mcp_servers.sales"
NOBODY = "http://127.0.0.1:9/mcp"  # a program that these tests need nothing of
WRITTEN = "t0p%2Fs3cret%40home"  # the password as it stands in the URL
AGENT = Asking("test", ("sales.query",))
SECRETS = ("t0p/s3cret@home", WRITTEN, "s3cret")


@pytest.fixture
def url(postgres_server: Server, shop: str) -> str:
    postgres_server.run(
        "CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 3) i",
        "GRANT USAGE ON SCHEMA public TO shop",
        "GRANT SELECT ON orders TO shop",
        database=shop,
    )
    return postgres_server.url("shop", shop)


@pytest.fixture
def addresses(settings: Settings, url: str, tmp_path: Path) -> Iterator[Addresses]:
    elsewhere = {name: McpServer(url=AnyHttpUrl(NOBODY)) for name in NAMES if name != "sales"}
    own = {"sales_data": SecretStr(url), "sales_refresh_s": 0.1, "data_dir": tmp_path}
    own |= {"mcp": elsewhere, "stand_in_url": NOBODY}
    with running(settings.model_copy(update=own)) as found:
        yield found


def command_lines() -> str:
    """What `ps` shows to everyone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_text(errors="replace").replace("\0", " "))
        except OSError:  # it has ended
            continue
    return "\n".join(found)


def status(readyz: str) -> object:
    return httpx.get(readyz).json()


@pytest.mark.slow
async def test_the_setting_reaches_the_server_and_its_password_nobody_else(
    addresses: Addresses, postgres_server: Server, shop: str, tmp_path: Path
) -> None:
    readyz = addresses.servers["sales"].removesuffix("mcp") + "readyz"
    async with ToolGateway(addresses.servers, limits=ToolLimits(cache_seconds=0)) as gateway:
        before = await gateway.call(AGENT, "sales", "query", {"sql": "SELECT count(*) AS n FROM orders"})
        assert before.content["rows"] == [[3]]
        ready = status(readyz)
        assert ready == {"status": "ready", "data_version": before.content["data_version"]}
        postgres_server.run("INSERT INTO orders VALUES (4)", database=shop)
        soon(lambda: status(readyz), lambda answer: answer != ready, "the new version at /readyz")
        after = await gateway.call(AGENT, "sales", "query", {"sql": "SELECT count(*) AS n FROM orders"})
    assert after.content["rows"] == [[4]]
    shown = command_lines()
    assert "--data-variable TOLLGATE_SALES_DATA" in shown
    seen = shown + "".join(each.read_text() for each in (tmp_path / "logs").iterdir())
    assert not any(secret in seen for secret in SECRETS)


HARM = {
    "no server": (r":\d+/", ":1/"),
    "wrong password": (":t0p", ":wr0ng"),
    "no URL": ("%40", "@"),
}


@pytest.mark.parametrize("harm", HARM)
def test_the_program_says_what_is_wrong_and_no_password(url: str, tmp_path: Path, harm: str) -> None:
    told = refused(SALES, "--stdio", "--data-dir", str(tmp_path), "--data-variable", "D", D=re.sub(*HARM[harm], url))
    assert re.match(r"error: (cannot read the|the URL of the) Postgres", told)
    assert "s3cret" not in told
    assert told.count("\n") == 1


@pytest.mark.slow
def test_doctor_passes_it_on(url: str, tmp_path: Path) -> None:
    others = {f"MCP__{name.upper()}__URL": NOBODY for name in NAMES if name != "sales"}
    data = re.sub(*HARM["wrong password"], url)
    ended = tollgate(tmp_path, "doctor", TOLLGATE_SALES_DATA=data, TOLLGATE_STAND_IN_URL=NOBODY, **others)
    assert ended.returncode == 1
    assert "mcp servers      sales did not start: cannot read the Postgres" in ended.stdout
    seen = ended.stdout + ended.stderr + "".join(each.read_text() for each in (tmp_path / ".data" / "logs").iterdir())
    assert "s3cret" not in seen


def test_a_password_as_an_argument_is_refused(tmp_path: Path) -> None:
    told = refused(SALES, "--stdio", "--data-dir", str(tmp_path), "--data", "postgresql://shop:sh0wn@127.0.0.1:1/shop")
    assert told.startswith("error: all users of this machine can read a password in --data; ")
    assert "sh0wn" not in told
    assert told.count("\n") == 1


def test_a_variable_that_is_not_set_is_told() -> None:
    told = refused(SALES, "--stdio", "--data-variable", "NOT_SET")
    assert told == "error: --data-variable names NOT_SET, which is not set\n"


def test_the_name_of_a_file_is_no_order_to_a_terminal(tmp_path: Path) -> None:
    told = refused(SALES, "--stdio", "--data-dir", str(tmp_path), "--data", "no\x1b]0;owned\x07\u202e.csv")
    assert "no\ufffd]0;owned\ufffd\ufffd.csv" in told
