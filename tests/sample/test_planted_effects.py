"""The documented effects really are in the sample data, in the direction and size that is documented."""

import re
from pathlib import Path

import pytest

import sample
from mcp_servers.sales import own_data
from mcp_servers.sales.warehouse import Warehouse

PAGE = sample.SALES.with_name("planted_effects.md")
EFFECT = re.compile(
    r"^## (?P<name>\d+\. .+?)\n.*?```sql\n(?P<sql>.+?)\n```\nExpected: (?P<low>-?[\d.]+) to (?P<high>-?[\d.]+)$",
    re.MULTILINE | re.DOTALL,
)
EFFECTS = [pytest.param(*match.groups()[1:], id=match["name"]) for match in EFFECT.finditer(PAGE.read_text("utf-8"))]


@pytest.fixture(scope="module")
def warehouse(with_sales: Path) -> Warehouse:
    return Warehouse(lambda: own_data.load(sample.SALES, with_sales))


@pytest.mark.parametrize(("sql", "low", "high"), EFFECTS)
def test_an_effect_is_in_the_data(warehouse: Warehouse, sql: str, low: str, high: str) -> None:
    [(value,)] = warehouse.rows(sql)
    assert float(low) <= float(value) <= float(high)


def test_every_effect_of_the_page_is_checked() -> None:
    assert len(EFFECTS) == PAGE.read_text("utf-8").count("\n## ") >= 8
