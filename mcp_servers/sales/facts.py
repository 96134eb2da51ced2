"""Makes the tables that the prepared tools read, in a schema of their own, which SQL of agents cannot see.

Values are coded, time is in months since the year 0, and sums are kept per month and combination of dimensions. Numbers
of orders do not add up over a column of which an order may have several values, so each row tells whether it is the
first of its order, and the first of its order with its value of such a column.
"""

import itertools
from typing import TYPE_CHECKING

from mcp_servers.base.serving import StartupError
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.roles import NUMBER, Facts, checked, columns_of
from mcp_servers.sales.settings import DataSettings, Roles, Targets

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MONTH_IN_TEXT = r"^(\d{4})-?(0[1-9]|1[0-2])(\D|$)"  # 2024-01, 2024-01-31, 202401
CODE = "CAST(row_number() OVER ({}) AS INTEGER) AS code"


def prepare(connection: "DuckDBPyConnection", settings: DataSettings) -> None:
    """Make the tables for the prepared tools. Raises StartupError: a role does not fit the data."""
    connection.execute("DROP SCHEMA IF EXISTS prepared CASCADE")  # the data may be a copy of ours
    if settings.roles is not None:
        connection.execute("CREATE SCHEMA prepared")
        _Maker(connection, settings.roles, checked(connection, settings, settings.roles)).make()


def of(name: str) -> str:
    """The column of a dimension, quoted. Its type has the same name."""
    return quoted(f"of {name}")


def first(column: str = "") -> str:
    """The column that is 1 in the first row of an order (with its value of the other column), else 0."""
    return quoted(f"first {column}")


class _Maker:
    def __init__(self, connection: "DuckDBPyConnection", roles: Roles, facts: Facts) -> None:
        self._connection = connection
        self._run = connection.execute
        self._roles = roles
        self._facts = facts
        self._table = quoted(roles.table)
        self._key = roles.customer_id or roles.customer
        self._columns = columns_of(connection, "table", roles.table)
        self._amount = self._type(roles.table, roles.amount, self._columns)
        self._quantity = self._type(roles.table, roles.quantity, self._columns) if roles.quantity else ""

    def make(self) -> None:
        facts = self._facts
        for name in facts.dimensions:
            self._code_values(name)
        if self._key:
            self._code_customers(self._key)
        self._code_rows()
        if facts.orders:
            facts.varying = self._varying()
        self._make_lines()
        self._sum_up("cube", ["month", *map(of, facts.dimensions)])
        facts.determined = self._determined([of(each) for each in facts.dimensions if of(each) in facts.varying])
        if self._key:
            self._sum_up("buyers", ["customer", *map(of, facts.currencies)])
        if self._roles.targets:
            self._make_attainment(self._roles.targets)
        self._learn()
        self._run("CREATE TABLE prepared.facts AS SELECT ? AS facts", [facts.model_dump_json()])
        self._run("DROP TABLE coded")

    def _type(self, table: str, name: str, columns: dict[str, str]) -> str:
        """The narrowest exact type that holds every sum of a column; DOUBLE if there is none."""
        kind, value = columns[name], quoted(name)
        inexact, digits = kind in {"FLOAT", "DOUBLE"}, NUMBER.fullmatch(kind)
        scale = 4 if inexact else int((digits and digits[1]) or 0)
        exact = f"coalesce(CAST(TRY_CAST({value} AS DECIMAL(38, 4)) AS {kind}) = {value}, false)" if inexact else "true"
        [(size, fits)] = self._run(
            f"SELECT sum(abs(CAST({value} AS DOUBLE))), bool_and({exact}) FROM {quoted(table)} "  # noqa: S608
            f"WHERE isfinite(CAST({value} AS DOUBLE))"
        ).fetchall()
        wide = {18: "BIGINT", 38: "HUGEINT"}
        enough = (each for each in wide if (size or 0) < 10 ** (each - scale) / 2 and fits is not False)
        return next((f"DECIMAL({each}, {scale})" if scale else wide[each] for each in enough), "DOUBLE")

    def _code_values(self, name: str) -> None:
        """Make a type of the values of a dimension, in their own order."""
        targets = self._roles.targets
        tables = [self._roles.table, *([targets.table] if targets and name in targets.dimensions else [])]
        values = " UNION ALL ".join(f"SELECT {quoted(name)} AS v FROM {quoted(table)}" for table in tables)  # noqa: S608
        self._run(
            f"CREATE TYPE prepared.{of(name)} AS ENUM (SELECT CAST(v AS VARCHAR) AS v FROM ({values}) "  # noqa: S608
            "WHERE v IS NOT NULL GROUP BY ALL ORDER BY min(v))"
        )

    def _code_customers(self, key: str) -> None:
        shown = [quoted(key) if name == key else _only(name) for name in self._facts.customer]
        listed = ", ".join(f"{each} AS c{at}" for at, each in enumerate(shown))
        grouped = f"SELECT {quoted(key)} AS key, {listed} FROM {self._table} GROUP BY ALL"  # noqa: S608
        self._run(
            f"CREATE TABLE prepared.customers AS SELECT {CODE.format('ORDER BY key')}, * FROM ({grouped}) "  # noqa: S608
            "WHERE key IS NOT NULL"
        )

    def _code_rows(self) -> None:
        """Copy what matters of each row, as `coded`."""
        roles = self._roles
        zoned = self._columns[roles.date] == "TIMESTAMP WITH TIME ZONE"
        moment = f"s.{quoted(roles.date)}{' AT TIME ZONE $$UTC$$' if zoned else ''}"
        columns = {"day": f"CASE WHEN isfinite({moment}) THEN CAST({moment} AS DATE) END"}
        for name in self._facts.dimensions:
            columns[of(name)] = f"CAST(CAST(s.{quoted(name)} AS VARCHAR) AS prepared.{of(name)})"
        columns["amount"] = _finite(roles.amount, self._amount)
        if roles.quantity:
            columns["quantity"] = _finite(roles.quantity, self._quantity)
        joins = ""
        if self._key:
            columns["customer"] = "customers.code"
            joins += f" LEFT JOIN prepared.customers ON customers.key = s.{quoted(self._key)}"
        if roles.order:
            columns["order_code"] = "orders.code"
            numbered = f"SELECT {quoted(roles.order)} AS key, {CODE.format('')} FROM {self._table} GROUP BY key"  # noqa: S608
            joins += f" LEFT JOIN ({numbered}) AS orders ON orders.key = s.{quoted(roles.order)}"
        listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        self._run(
            f"CREATE TEMP TABLE coded AS SELECT *, CAST(12 * year(day) + month(day) - 1 AS INTEGER) AS month FROM "  # noqa: S608
            f"(SELECT {listed} FROM {self._table} AS s{joins}) ORDER BY month"
        )

    def _varying(self) -> list[str]:
        """The columns of which an order has several values."""
        codes = {"month": "month", **{of(name): f"enum_code({of(name)})" for name in self._facts.dimensions}}
        codes |= {"customer": "customer"} if self._key else {}
        values = [f"coalesce({code}, -1)" for code in codes.values()]
        ends = ", ".join(f"min({value}) AS low{at}, max({value}) AS high{at}" for at, value in enumerate(values))
        several = ", ".join(f"bool_or(low{at} <> high{at})" for at in range(len(values)))
        [found] = self._run(
            f"SELECT {several} FROM (SELECT {ends} FROM coded WHERE order_code IS NOT NULL GROUP BY order_code)"  # noqa: S608
        ).fetchall()
        return [column for column, varies in zip(codes, found, strict=True) if varies]

    def _determined(self, columns: list[str]) -> list[tuple[str, str]]:
        """Pairs of columns of which the first decides the second, as a product its category."""
        pairs = list(itertools.permutations(columns, 2))
        counts = [f"count(DISTINCT ({a}, {b})) = count(DISTINCT ({a}, 0))" for a, b in pairs]
        found = self._run(f"SELECT {', '.join(counts)} FROM prepared.cube").fetchone() if pairs else None  # noqa: S608
        return [pair for pair, determined in zip(pairs, found or [], strict=True) if determined]

    def _make_lines(self) -> None:
        marks = joins = ""
        for at, column in enumerate(self._marked()):
            marks += f", CAST(f{at}.id IS NOT NULL AS UTINYINT) AS {first(column)}"
            joins += (
                f" LEFT JOIN (SELECT min(rowid) AS id FROM coded WHERE order_code IS NOT NULL "  # noqa: S608
                f"GROUP BY {', '.join(filter(None, ['order_code', column]))}) AS f{at} ON f{at}.id = coded.rowid"
            )
        self._run(f"CREATE TABLE prepared.lines AS SELECT coded.* EXCLUDE (day){marks} FROM coded{joins}")  # noqa: S608

    def _marked(self) -> list[str]:
        return ["", *self._facts.varying] if self._facts.orders else []

    def _sum_up(self, table: str, keys: list[str]) -> None:
        """Make a table of sums, with the columns of `lines`."""
        sums = {"amount": self._amount} | ({"quantity": self._quantity} if self._roles.quantity else {})
        sums |= dict.fromkeys(map(first, self._marked()), "BIGINT")
        listed = ", ".join(f"CAST(sum({each}) AS {kind}) AS {each}" for each, kind in sums.items())
        by = ", ".join(keys)
        grouped = f"SELECT {by}, {listed} FROM prepared.lines GROUP BY {by} ORDER BY {by}"  # noqa: S608
        self._run(f"CREATE TABLE prepared.{table} AS {grouped}")

    def _make_attainment(self, targets: Targets) -> None:
        """Make the table of targets, each with the revenue of its month and dimensions."""
        table, text = quoted(targets.table), f"CAST({quoted(targets.month)} AS VARCHAR)"
        year, month = (f"TRY_CAST(regexp_extract({text}, '{MONTH_IN_TEXT}', {at}) AS INTEGER)" for at in (1, 2))
        [(wrong, self._facts.aimless)] = self._run(
            f"SELECT any_value({text}) FILTER ({month} IS NULL AND {text} <> ''), count(*) FILTER ({month} IS NULL) "  # noqa: S608
            f"FROM {table}"
        ).fetchall()
        if wrong:
            raise StartupError(
                f"roles.targets.month: {targets.month} of {targets.table} has {wrong!r}, no month; write 2024-01"
            )
        columns = columns_of(self._connection, "targets.table", targets.table)
        target = f"CAST(sum({quoted(targets.amount)}) AS {self._type(targets.table, targets.amount, columns)})"
        dimensions = "".join(f", {of(name)}" for name in targets.dimensions)
        values = "".join(
            f", CAST(CAST({quoted(each)} AS VARCHAR) AS prepared.{of(each)}) AS {of(each)}"
            for each in targets.dimensions
        )
        same = "".join(f" AND goals.{of(each)} IS NOT DISTINCT FROM reached.{of(each)}" for each in targets.dimensions)
        self._run(
            f"""
            CREATE TABLE prepared.attainment AS SELECT goals.*, amount FROM (
                SELECT 12 * {year} + {month} - 1 AS month{values}, {target} AS target
                FROM {table} WHERE {month} IS NOT NULL AND {quoted(targets.amount)} IS NOT NULL GROUP BY ALL
            ) AS goals LEFT JOIN (
                SELECT month{dimensions}, CAST(sum(amount) AS {self._amount}) AS amount FROM prepared.cube GROUP BY ALL
            ) AS reached ON goals.month = reached.month{same}
            """  # noqa: S608
        )

    def _learn(self) -> None:
        """Complete the facts with what the rows tell."""
        facts, anonymous = self._facts, "count(*) - count(customer)" if self._key else "0"
        [(facts.first, facts.last, facts.undated, facts.unpriced, facts.anonymous)] = self._run(
            f"SELECT min(day), max(day), count(*) - count(day), count(*) - count(amount), {anonymous} FROM coded"  # noqa: S608
        ).fetchall()
        months = self._run("SELECT DISTINCT month FROM prepared.cube WHERE month IS NOT NULL ORDER BY month").fetchall()
        facts.months = [month for (month,) in months]


def _only(name: str) -> str:
    """The value of a customer's column, unless he has several."""
    value = f"CAST({quoted(name)} AS VARCHAR)"
    return f"CASE WHEN count(DISTINCT {value}) < 2 THEN min({value}) ELSE 'several' END"


def _finite(name: str, kind: str) -> str:
    value = f"s.{quoted(name)}"
    return f"CASE WHEN isfinite(CAST({value} AS DOUBLE)) THEN CAST({value} AS {kind}) END"
