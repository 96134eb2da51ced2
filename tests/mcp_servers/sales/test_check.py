"""`tollgate data check`: says what is in doubt, and writes a settings file whose lines work once they are in force."""

import re
import tomllib
from pathlib import Path

from mcp_servers.base.results import Table
from mcp_servers.sales.server import build
from tests.app.command_line import tollgate

ORDERS = """Order Date;Kunde;Land;Umsatz (€);Stück
1/2/2024;Anna;DE;1.234,50;1
3/4/2024;Ben;FR;2,25;2
"""


def put_in_force(settings: Path, *lines: str) -> None:
    """Uncomment the lines that begin like these."""
    text = settings.read_text(encoding="utf-8")
    for line in lines:
        text, count = re.subn(rf"^# ({re.escape(line)})", r"\1", text, flags=re.MULTILINE)
        assert count, f"nothing begins with {line}"
    settings.write_text(text, encoding="utf-8")


async def test_what_it_writes_settles_its_doubts(tmp_path: Path) -> None:
    data = tmp_path / "orders.csv"
    data.write_text(ORDERS, encoding="utf-8")
    settings = data.with_suffix(".toml")
    first = tollgate(tmp_path, "data", "check", "orders.csv")
    assert first.returncode == 0, first.stderr
    assert 'say in orders.toml: dates = "day-first" or "month-first"' in first.stdout
    assert "original name: Umsatz (€); currency: EUR" in first.stdout
    assert "Wrote orders.toml, in which nothing is in force yet." in first.stdout
    assert tomllib.loads(settings.read_text(encoding="utf-8")) == {}

    put_in_force(settings, 'dates = "day-first"', "[tables.orders]", 'columns."Umsatz (€)"', "[roles]", "table =")
    put_in_force(settings, 'date = "order_date"', 'amount = "umsatz_eur"', 'quantity = "stuck"', 'customer = "kunde"')
    put_in_force(settings, 'dimensions = ["land"]')
    second = tollgate(tmp_path, "data", "check", "orders.csv")
    assert re.search(r"order_date +DATE +original name: Order Date\n", second.stdout)
    assert "The settings are orders.toml" in second.stdout

    server = build(data, tmp_path / "own")
    answer = await server.call_tool("revenue_by", {"dimensions": ["land"]})
    found = Table.model_validate(answer.structuredContent)
    assert (found.columns, found.rows) == (["land", "revenue_eur", "stuck"], [["DE", 1234.5, 1], ["FR", 2.25, 2]])


def test_data_that_cannot_be_read_end_it_with_one_line(tmp_path: Path) -> None:
    ended = tollgate(tmp_path, "data", "check", "none.csv")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"error: cannot read none\.csv: No such file or directory; give .*\n", ended.stderr)
