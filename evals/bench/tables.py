"""What a CSV file costs the sales server until its first answer, cold and warm; beside DuckDB that just reads it.

Generated files of 2, 30 and 300 MB: 30 columns, 8 of text, 3 of dates. The program is started on each twice: the
next time it finds what the first has kept. DuckDB alone makes a table of the file, as it reads it by itself, in the
same run.

    python -m evals.bench.tables

Exit code 1 if the first start takes more than 3 times as long as DuckDB alone and 1 s, the next one 1 s or more, or the
server holds 500 MB or more.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from evals.bench.rows import Row
from evals.bench.starts import Start, start

ROWS_OF = {"2 MB": 6_700, "30 MB": 100_000, "300 MB": 1_000_000}
ROWS = (
    *(
        Row(f"first answer over a CSV file of {size}", "s", "DuckDB alone", "reading, checking and typing every value")
        for size in ROWS_OF
    ),
    *(Row(f"the next start over a CSV file of {size}", "s", "", "until the first answer") for size in ROWS_OF),
)
MOST_TIMES, MORE_S, MOST_WARM_S, MOST_BYTES = 3.0, 1.0, 1.0, 500 * 10**6
QUESTION = "SELECT whole_1, sum(amount_1) AS amount FROM data GROUP BY whole_1 ORDER BY whole_1"
BARE = """
import sys, duckdb
duckdb.connect(sys.argv[2]).execute("CREATE TABLE data AS SELECT * FROM read_csv(?)", [sys.argv[1]])
"""


def write(file: Path, rows: int) -> None:
    """The file."""
    columns = [
        "i AS id",
        *(
            f"concat('word ', hash(i, {at}) % 1000, ' of ', hash(i, {at}) % {10**at}) AS text_{at}"
            for at in range(1, 9)
        ),
        "DATE '2020-01-01' + CAST(i % 2000 AS INTEGER) AS day",
        "strftime(DATE '2020-01-01' + CAST(7 * i % 2000 AS INTEGER), '%d/%m/%Y') AS shipped",
        "strftime(TIMESTAMP '2021-01-01' + to_minutes(CAST(i % 1000000 AS INTEGER)), '%Y-%m-%d %H:%M:%S') AS moment",
        *(f"hash(i, {10 + at}) % {10**at} AS whole_{at}" for at in range(1, 9)),
        *(f"CAST((hash(i, {20 + at}) % 10000000) / 100 AS DECIMAL(12, 2)) AS amount_{at}" for at in range(1, 11)),
    ]
    duckdb.execute(f"COPY (SELECT {', '.join(columns)} FROM range({rows}) AS t(i)) TO '{file}' (HEADER)")


def bare(file: Path, database: Path) -> float:
    """Seconds that DuckDB alone takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE, str(file), str(database)], check=True)
    return time.perf_counter() - began


def main() -> int:
    """Print the figures; 1 if one is too large."""
    table = Table("file", "DuckDB alone, s", "first start, s", "times", "next start, s", "CPU, s", "memory, MB")
    ok, measured = True, []
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in ROWS_OF.items():
            file, kept = Path(folder) / "data.csv", Path(folder) / name
            write(file, rows)
            alone_s = bare(file, Path(folder) / f"{name}.duckdb")
            cold, warm = (start("mcp_servers.sales", file, kept, "query", {"sql": QUESTION}) for _ in range(2))
            ok &= _holds(alone_s, cold, warm)
            measured.append((alone_s, cold.first_s, warm.first_s))
            times, memory = f"{cold.first_s / alone_s:.2f}", f"{max(cold.memory, warm.memory) / 10**6:.0f}"
            seconds = f"{alone_s:.2f}", f"{cold.first_s:.2f}", times, f"{warm.first_s:.2f}", f"{cold.cpu_s:.1f}"
            table.add_row(name, *seconds, memory)
    Console().print(table)
    for at, (alone_s, first_s, next_s) in enumerate(measured):
        ROWS[at].tell([first_s], [alone_s])
        ROWS[len(measured) + at].tell([next_s])
    return 0 if ok else 1


def _holds(alone_s: float, cold: Start, warm: Start) -> bool:
    within = cold.first_s <= MOST_TIMES * alone_s + MORE_S and warm.first_s < MOST_WARM_S
    return within and max(cold.memory, warm.memory) < MOST_BYTES and cold.rows == warm.rows == 10


if __name__ == "__main__":
    raise SystemExit(main())
