"""`python -m mcp_servers.sales.check PATH`: says how data are understood, and writes a first settings file for them."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcp_servers.base.results import Table
from mcp_servers.base.serving import BAD_INPUT, StartupError
from mcp_servers.sales import catalog, own_data, settings
from mcp_servers.sales.loading import NUMBERS
from mcp_servers.sales.warehouse import Warehouse

DATES = ("DATE", "TIMESTAMP")
# Types and words in the names of columns that make them likely for a role: a proposal, which the owner confirms.
LIKELY = {
    "date": (DATES, ("date", "datum", "day", "fecha", "time", "month", "")),
    "amount": (NUMBERS, ("revenue", "amount", "total", "umsatz", "betrag", "summe", "montant", "importe", "price")),
    "quantity": (NUMBERS, ("quantity", "qty", "units", "menge", "anzahl", "stuck")),
    "order": (("",), ("order_id", "order_no", "order_number", "invoice", "bestell", "auftrag", "pedido")),
    "customer": (("",), ("customer_name", "customer", "client", "kunde", "account", "buyer")),
}

IN_DOUBT = {"dates": "DATE", "decimal": "DECIMAL"}  # what a column is once the setting is said

Row = Sequence[str]  # of describe_schema


def main() -> None:
    """Print what was understood. Exits with 2 if the data cannot be read."""
    options = argparse.ArgumentParser(prog="tollgate data check", description="How sales data are understood.")
    options.add_argument("path", type=Path, help="file or folder, as in TOLLGATE_SALES_DATA")
    path: Path = options.parse_args().path
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = catalog.describe(Warehouse(lambda: own_data.load(path, Path(folder))))
    except StartupError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(BAD_INPUT)
    sys.stdout.write("\n".join([*_shown(found), "", _written(settings.place(path), found), ""]))


def _shown(found: Table) -> Iterator[str]:
    rows = [[str(cell) for cell in row] for row in found.rows]
    widths = [max((len(row[at]) for row in rows), default=0) for at in (1, 2)]
    for note in found.notes:
        yield note
        for table, column, kind, told, _ in rows:
            if note.startswith(f"{table}: "):
                yield f"  {column:{widths[0]}}  {kind:{widths[1]}}  {told}".rstrip()


def _written(file: Path, found: Table) -> str:
    """Write the settings file, unless there is one; what to do next."""
    if file.exists():
        return f"The settings are {file}; the data were read with them."
    try:
        file.write_text("\n".join(_first(found)) + "\n", encoding="utf-8")
    except OSError as error:
        return f"{file} cannot be written ({error.strerror}): no settings were proposed."
    return f"Wrote {file}, in which nothing is in force yet. Uncomment what is right, then check again."


def _first(found: Table) -> Iterator[str]:
    """A settings file with every proposal commented out."""
    yield "# How these data are to be read, and what they mean. Lines without # are in force."
    yield '\n# dates = "day-first"  # or "month-first": what 03/04/2024 is'
    yield '# decimal = ","  # or ".": what 1,234 is'
    yield '# encoding = "cp1252"  # of text files; also: delimiter, quote, header_line, footer_lines, missing'
    tables: dict[str, list[Row]] = {}
    for cells in found.rows:
        table, column, kind, told, values = map(str, cells)
        doubtful = next((kind for setting, kind in IN_DOUBT.items() if f"toml: {setting} = " in told), kind)
        tables.setdefault(table, []).append([table, column, doubtful, told, values])
    for table, rows in tables.items():
        yield f'\n# [tables.{table}]\n# description = "..."  # what a row is'
        for row in rows:
            original, currency = _part(row[3], "original name: ") or row[1], _part(row[3], "currency: ")
            told = f", currency = {json.dumps(currency)}" if currency and not currency.startswith("in ") else ""
            yield f'# columns.{json.dumps(original, ensure_ascii=False)} = {{description = "..."{told}}}'
    yield from _roles(tables)


def _part(description: str, name: str) -> str:
    return next((each.removeprefix(name) for each in description.split("; ") if each.startswith(name)), "")


def _roles(tables: dict[str, list[Row]]) -> Iterator[str]:
    """Proposed roles, for the table in which most were found."""
    proposed = {table: _proposed(rows) for table, rows in tables.items()}
    table = max(proposed, key=lambda each: len(proposed[each]))
    roles = proposed[table]
    yield "\n# Which columns the prepared tools compute with: revenue_by, top_customers."
    yield f"# [roles]\n# table = {json.dumps(table)}"
    for role in LIKELY:
        told = json.dumps(roles[role]) if role in roles else '"..."'
        if role in roles or role in {"date", "amount"}:
            yield f"# {role} = {told}"
    few = [row[1] for row in tables[table] if row[2] == "VARCHAR" and row[4] and " .. " not in row[4]]
    currencies = (_part(row[3], "currency: ") for row in tables[table])
    beside = next((each.removeprefix("in ") for each in currencies if each.startswith("in ")), "")
    if beside and not beside.endswith("_currency"):  # of the amounts that the loader made apart, it knows
        yield f"# currency = {json.dumps(beside)}"
    few = [name for name in few if name not in roles.values() and name != beside]
    yield f"# dimensions = {json.dumps(few)}"


def _proposed(rows: Sequence[Row]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, (kinds, words) in LIKELY.items():
        fitting = [row[1] for row in rows if row[2].startswith(kinds) and row[1] not in found.values()]
        best = [name for word in words for name in fitting if word in name]
        if best:
            found[role] = best[0]
    return found


if __name__ == "__main__":
    main()
