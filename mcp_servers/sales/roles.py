"""Checks the roles that the owner of the data gave to columns, and tells what follows for the prepared tools."""

import re
from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

from pydantic import BaseModel

from mcp_servers.base.serving import StartupError
from mcp_servers.sales.settings import DataSettings, Roles, Targets

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MONTHS_IN = {"year": 12, "quarter": 3, "month": 1}
NUMBER = re.compile(r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,(\d+)\)")
MOMENT = re.compile(r"DATE|TIMESTAMP.*(?<!])")
KINDS = {NUMBER: "a number", MOMENT: "a date"}


class Facts(BaseModel):
    """What the prepared tools have to know of the data.

    Attributes:
        currencies: the dimension over which amounts do not add up, if they are in several currencies; else `unit`.
        amount: its column. `revenue`, `target`, `quantity`: columns of results.
        customer: what is shown of a customer.
        varying: columns of which an order may have several values.
        determined: pairs of them of which the first decides the second, as a product its category.
        months: with sales, counted from the year 0.
        undated, unpriced, anonymous, aimless: rows without a date, amount, customer; targets without a month.
    """

    dimensions: list[str]
    currencies: list[str]
    unit: str
    amount: str
    revenue: str
    quantity: str | None
    orders: bool
    customer: list[str]
    target: str
    target_dimensions: list[str]
    varying: list[str] = []
    determined: list[tuple[str, str]] = []
    months: list[int] = []
    first: date | None = None
    last: date | None = None
    undated: int = 0
    unpriced: int = 0
    anonymous: int = 0
    aimless: int = 0


def columns_of(connection: "DuckDBPyConnection", role: str, table: str) -> dict[str, str]:
    """The columns of a table or view with their types. Raises StartupError if there is none."""
    found: dict[str, dict[str, str]] = {}
    for name, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal "
        "ORDER BY table_name, column_index"
    ).fetchall():
        found.setdefault(name, {})[column] = kind
    _require(role, table, "the data", found)
    return found[table]


def checked(connection: "DuckDBPyConnection", settings: DataSettings, roles: Roles) -> Facts:
    """What is known before the rows are read. Raises StartupError: a role does not fit the data."""
    columns = columns_of(connection, "table", roles.table)
    for role in ("date", "amount", "currency", "quantity", "order", "customer", "customer_id"):
        if name := getattr(roles, role):
            _require(role, name, roles.table, columns)
    for role in ("dimensions", "customer_attributes"):
        for name in getattr(roles, role):
            _require(role, name, roles.table, columns)
    _fit("date", roles.date, columns, MOMENT)
    _fit("amount", roles.amount, columns, NUMBER)
    if roles.quantity:
        _fit("quantity", roles.quantity, columns, NUMBER)
    facts = _facts(settings, roles, columns)
    _check_names(facts, roles.table)
    if roles.targets:
        _check_targets(columns_of(connection, "targets.table", roles.targets.table), roles.targets, facts)
    return facts


def _facts(settings: DataSettings, roles: Roles, columns: Collection[str]) -> Facts:
    from mcp_servers.sales.naming import snake_case  # noqa: PLC0415  it needs DuckDB

    companion = f"{roles.amount}_currency"  # made where amounts were in several currencies
    column = roles.currency or (companion if companion in columns else None)
    unit = "" if column else settings.currency or ""
    code = snake_case(unit)  # of $, there is none
    suffix = f"_{code}" if code else ""
    return Facts(
        dimensions=_once(*roles.dimensions, column),
        currencies=_once(column),
        unit=unit,
        amount=roles.amount,
        revenue=f"revenue{suffix}",
        quantity=roles.quantity,
        orders=roles.order is not None,
        customer=_once(roles.customer_id, roles.customer, *roles.customer_attributes),
        target=f"target{suffix}",
        target_dimensions=_once(*(roles.targets.dimensions if roles.targets else [])),
    )


def _once(*names: str | None) -> list[str]:
    return list(dict.fromkeys(filter(None, names)))


def _check_names(facts: Facts, table: str) -> None:
    measures = [facts.revenue, facts.target, "orders", "attainment_pct", *_once(facts.quantity)]
    for shown in (facts.dimensions, facts.customer):
        if twice := set(shown) & {*MONTHS_IN, *measures}:
            raise StartupError(
                f"roles: the prepared tools have a column {min(twice)} of their own; give the one of {table} another "
                f"name in the settings (tables.{table}.columns), or leave it out of the roles"
            )


def _check_targets(columns: dict[str, str], targets: Targets, facts: Facts) -> None:
    _require("targets.month", targets.month, targets.table, columns)
    _require("targets.amount", targets.amount, targets.table, columns)
    _fit("targets.amount", targets.amount, columns, NUMBER)
    for name in targets.dimensions:
        _require("targets.dimensions", name, targets.table, columns)
        _require("targets.dimensions", name, "roles.dimensions", facts.dimensions)
    if facts.currencies:
        raise StartupError(
            f"roles.targets: the amounts are in several currencies ({facts.currencies[0]}): no target fits them all; "
            "leave roles.targets out"
        )


def _require(role: str, name: str, where: str, there: Collection[str]) -> None:
    if name not in there:
        raise StartupError(f"roles.{role}: {where} has no {name}; it has {', '.join(there) or 'nothing'}")


def _fit(role: str, name: str, columns: dict[str, str], pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(columns[name]):
        fitting = ", ".join(each for each, kind in columns.items() if pattern.fullmatch(kind))
        raise StartupError(
            f"roles.{role}: {name} is {columns[name]}, not {KINDS[pattern]}; these are: {fitting or 'none'}"
        )
