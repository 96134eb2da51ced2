"""Checks with DuckDB's own parser that a statement is one harmless SELECT.

The database is also read-only and locked, and its process is bounded; the guard's refusals tell the author of the
statement what to do instead.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_SQL_CHARS = 10_000
QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
TABLE_FUNCTIONS = {"range", "generate_series", "unnest"}
# Names that read the clock if no column has that name, and functions that DuckDB considers constant.
CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
ALSO_CHANGING = {"current_localtime", "current_localtimestamp"}
# SQL in a string is not checked by this guard, and planning it discloses settings.
SQL_IN_TEXT = {"json_serialize_plan", "json_serialize_sql", "json_deserialize_sql", "json_execute_serialized_sql"}


class Refused(Exception):
    """The statement is not run; the message says why and what to write instead."""


class Guard:
    """Checks statements against the tables of one database, and DuckDB's own views and functions."""

    def __init__(self, connection: "DuckDBPyConnection") -> None:
        self._connection = connection
        self.tables = self._names("SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'")
        self._system_views = self._names("SELECT view_name FROM duckdb_views() WHERE internal")
        self._changing = self._names("SELECT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
        self._changing |= ALSO_CHANGING
        self._changing |= self._macros_that_change()

    def check(self, sql: str) -> str:
        """The bare statement. Raises Refused, or duckdb.Error if it does not parse."""
        import duckdb  # noqa: PLC0415

        if len(sql) > MAX_SQL_CHARS:
            raise Refused(f"the statement has {len(sql)} characters, the limit is {MAX_SQL_CHARS}; write a shorter one")
        if not _is_text(sql):
            raise Refused("the statement contains a lone surrogate or NUL; write plain text")
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1:
            raise Refused(f"send exactly one SELECT statement; this has {len(statements)}")
        text = _without_end(sql)
        for node in _nodes(self._tree(text)):
            self._check_query(node)
            self._check_source(node)
            self._check_function(node)
        return text

    def _names(self, sql: str) -> set[str]:
        return {str(name).lower() for (name,) in self._connection.execute(sql).fetchall()}

    def _macros_that_change(self) -> set[str]:
        """Macros that call a volatile function, read the clock, or read system tables."""
        found = self._connection.execute(
            "SELECT lower(function_name), json_serialize_sql('SELECT ' || macro_definition) FROM duckdb_functions() "
            "WHERE function_type = 'macro'"
        ).fetchall()
        bodies = [(str(name), list(_nodes(json.loads(tree)))) for name, tree in found]
        changing: set[str] = set()
        while more := {name for name, nodes in bodies if name not in changing and self._reaches(nodes, changing)}:
            changing |= more
        return changing

    def _reaches(self, nodes: list[dict[str, Any]], macros: set[str]) -> bool:
        return any(
            node.get("type") in {"BASE_TABLE", "TABLE_FUNCTION"}
            or str(node.get("function_name", "")).lower() in self._changing | macros
            or _clock(node)
            for node in nodes
        )

    def _tree(self, text: str) -> dict[str, Any]:
        [(answer,)] = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
        tree: dict[str, Any] = json.loads(answer)
        if tree["error"]:
            raise Refused(
                "only a SELECT statement (WITH ... SELECT too) can be run here; the data cannot be changed, "
                "and PIVOT has to be written with GROUP BY"
            )
        self._ctes = {entry["key"].lower() for node in _nodes(tree) for entry in _ctes(node)}
        if hidden := self._ctes & self._system_views:
            raise Refused(f"{_listed(hidden)} is a system name; choose another name in WITH")
        return tree

    def _check_query(self, node: dict[str, Any]) -> None:
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in QUERY_NODES:
            raise Refused("the data cannot be changed; only SELECT is allowed in WITH")
        if kind == "SHOW_REF":
            raise Refused("use the tool describe_schema to see tables, columns and their values")

    def _check_source(self, node: dict[str, Any]) -> None:
        if node.get("type") == "TABLE_FUNCTION":
            name = node["function"].get("function_name", "").lower()
            if name not in TABLE_FUNCTIONS:
                raise Refused(f"{name}() cannot be read from; the tables are {_listed(self.tables)}")
        if node.get("type") == "BASE_TABLE":
            name = str(node["table_name"])
            own_schema = node["schema_name"].lower() in {"", "main"}
            if not own_schema or name.lower() not in self.tables | self._ctes:
                raise Refused(f"there is no table {name!r}; the tables are {_listed(self.tables)}")

    def _check_function(self, node: dict[str, Any]) -> None:
        name = str(node.get("function_name", "")).lower()
        if name in SQL_IN_TEXT:
            raise Refused(f"{name}() is not allowed: write the SQL itself")
        if name in self._changing:
            raise Refused(f"{name}() is not allowed: the same statement must give the same answer each time")
        if clock := _clock(node):
            raise Refused(f"{clock} is not allowed: the same statement must give the same answer; write out the date")
        if node.get("sample"):
            raise Refused("samples are not allowed: the same statement must give the same answer; use LIMIT or filter")


def _is_text(sql: str) -> bool:
    try:
        return b"\0" not in sql.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry
        return False


def _without_end(sql: str) -> str:
    """The statement up to its semicolon: what follows is empty or a comment."""
    import duckdb  # noqa: PLC0415

    raw = sql.encode()  # the tokenizer counts bytes
    ends = [start for start, _ in duckdb.tokenize(sql) if raw[start : start + 1] == b";"]
    return raw[: ends[0]].decode() if ends else sql


def _clock(node: dict[str, Any]) -> str | None:
    """The name with which this node reads the clock, if it does."""
    names = node.get("column_names", [])
    return str(names[0]) if len(names) == 1 and str(names[0]).lower() in CLOCKS else None


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _ctes(node: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = node.get("cte_map", {}).get("map", [])
    return entries


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
