"""What a role may read of a Postgres database, whether it may write, and whether anything has changed."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import Cursor

from mcp_servers.sales.postgres_types import LEFT_OUT, Type

Rows = Cursor[tuple[Any, ...]]

# Tables, views, partitioned and foreign tables of users, without those of extensions.
_RELATIONS = """
    pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      )
"""
_READABLE = f"""
    SELECT n.nspname, c.relname, coalesce(obj_description(c.oid, 'pg_class'), ''),
           a.attname, coalesce(col_description(c.oid, a.attnum), ''), a.atttypid, a.atttypmod
    FROM {_RELATIONS} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE NOT c.relispartition AND has_schema_privilege(n.oid, 'USAGE')
      AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    ORDER BY n.nspname, c.relname, a.attnum
"""  # noqa: S608
_TYPES = "SELECT oid, typname, typbasetype, typtypmod, typcategory = 'A' AND typelem <> 0, typelem FROM pg_type"

# A role without a privilege may still become a role with it (SET ROLE).
_WRITABLE = f"""
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM {_RELATIONS} JOIN pg_roles r ON pg_has_role(r.oid, 'MEMBER')
    WHERE has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
       OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')
    LIMIT 1
"""  # noqa: S608
_ALMIGHTY = """
    SELECT count(*) FROM pg_roles
    WHERE pg_has_role(oid, 'MEMBER') AND (rolsuper OR rolname IN ('pg_write_server_files', 'pg_execute_server_program'))
"""

# Statistics counters, which every role may read; a standby has none, nor has a server with them off. They do not cover
# foreign tables and views that depend on the time, so everything counts as changed once an hour.
_STATE = """
    SELECT floor(extract(epoch FROM now()) / 3600)::bigint,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text
                WHEN current_setting('track_counts') = 'off' THEN pg_current_wal_lsn()::text
                ELSE (SELECT concat_ws('/', sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del)) FROM pg_stat_user_tables)
           END,
           (SELECT md5(string_agg(concat_ws('/', oid, relfilenode), ',' ORDER BY oid)) FROM pg_class
            WHERE relkind IN ('r', 'm') AND relpersistence <> 't')
"""


class Column(NamedTuple):
    """A column that the role may read."""

    name: str
    comment: str
    kind: Type


@dataclass(frozen=True)
class Relation:
    """A table or view, the columns that the role may read, and those of unsupported types."""

    schema: str
    name: str
    comment: str
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]


def state(rows: Rows) -> object:
    """A value that differs if data, tables or comments may have changed."""
    return rows.execute(_STATE).fetchall(), relations(rows)


def writable(rows: Rows) -> str | None:
    """Something that the role, or one it can become, may write to; None if there is nothing."""
    if rows.execute(_ALMIGHTY).fetchall() != [(0,)]:
        return "everything"
    found = rows.execute(_WRITABLE).fetchone()
    return str(found[0]) if found else None


def relations(rows: Rows) -> list[Relation]:
    """Everything that the role may read, ordered by name."""
    types = {oid: rest for oid, *rest in rows.execute(_TYPES).fetchall()}
    found: dict[tuple[str, str, str], list[Column]] = {}
    for schema, table, about, name, comment, oid, modifier in rows.execute(_READABLE).fetchall():
        found.setdefault((schema, table, about), []).append(Column(name, comment, _type(types, oid, modifier)))
    return [_relation(*named, columns) for named, columns in found.items()]


def _relation(schema: str, name: str, comment: str, columns: list[Column]) -> Relation:
    usable = tuple(column for column in columns if column.kind.name not in LEFT_OUT)
    return Relation(schema, name, comment, usable, tuple(each.name for each in columns if each not in usable))


def _type(types: dict[int, list[Any]], oid: int, modifier: int) -> Type:
    name, base, base_modifier, is_array, element = types[oid]
    if base:  # a domain
        return _type(types, base, base_modifier)
    if is_array:
        return Type(_type(types, element, -1).name, array=True)
    if name == "numeric" and modifier >= 0:  # as in numeric.c; the scale has a sign since Postgres 15
        return Type(name, precision=(modifier - 4) >> 16 & 0xFFFF, scale=((modifier - 4 & 0x7FF) ^ 1024) - 1024)
    return Type(name)
