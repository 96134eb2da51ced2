"""What a folder of PDFs costs the knowledge base: first answer, the whole, the next start; beside PDFium alone.

300 PDFs of 20 pages, no two alike; every seventh line is a row of a table. The program is started on them twice: the
next time it finds what the first has kept. PDFium alone extracts the bare text of all pages in one process, in the same
run. The program reads with two: on a busy machine, compare CPU time.

    python -m evals.bench.documents

Exit code 1 if the first answer takes 3 s or more, the next start 1 s or more, or reading all more than twice as long as
PDFium alone.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evals.bench.rows import Row
from evals.bench.starts import start

FILES, PAGES, LINES = 300, 20, 70
MOST_FIRST_S, MOST_WARM_S, MOST_TIMES = 3.0, 1.0, 2.0
ROWS = (
    Row("first answer over 6,000 pages", "s", "", "from the start of the program; not all pages are read by then"),
    Row("reading 6,000 pages, CPU", "s", "PDFium alone", "parsing, cutting and indexing; the peer only extracts text"),
    Row("the next start over 6,000 pages", "s", "", "until the first answer, from what the first start has kept"),
)
QUERY = "units sold in region 4"
BARE = """
import sys, pathlib, pypdfium2
for path in pathlib.Path(sys.argv[1]).iterdir():
    for page in pypdfium2.PdfDocument(path):
        page.get_textpage().get_text_range()
"""


def write(folder: Path) -> None:
    """The files."""
    for number in range(FILES):
        (folder / f"report{number}.pdf").write_bytes(_pdf(["\n".join(_lines(number, page)) for page in range(PAGES)]))


def bare(folder: Path) -> tuple[float, float]:
    """Seconds that PDFium alone takes, and of CPU."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE, str(folder)], check=True)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def _lines(number: int, page: int) -> Iterator[str]:
    for line in range(LINES):
        y = 800 - 11 * line
        if line % 7 == 0:
            cells = (f"Region {line}", f"{number * line:,}", f"{page * line:,}", f"{number + page + line:,}")
            yield "".join(f"1 0 0 1 {40 + 120 * at} {y} Tm ({cell}) Tj " for at, cell in enumerate(cells))
        else:
            said = f"Report {number}, page {page}: {page * line} units were sold in region {line}, more than before"
            yield f"1 0 0 1 40 {y} Tm ({said}) Tj"


def _pdf(pages: list[str]) -> bytes:
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, page in enumerate(pages):
        shape = f"/MediaBox [0 0 595 842] /Contents {5 + 2 * at} 0 R /Resources << /Font << /F1 3 0 R >> >>"
        content = f"BT /F1 8 Tf {page} ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R {shape} >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    out, places = "%PDF-1.4\n", list[int]()
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}{table}{trailer}".encode()


def main() -> int:
    """Print the figures; 1 if one is too large."""
    with tempfile.TemporaryDirectory() as folder:
        data, kept = Path(folder) / "data", Path(folder) / "kept"
        data.mkdir()
        write(data)
        alone_s, alone_cpu_s = bare(data)
        asked = ("search_keyword", {"query": QUERY})
        cold, warm = (start("mcp_servers.knowledge_base", data, kept, *asked) for _ in range(2))
    table = Table("start", "first answer, s", "all read, s", "times PDFium", "CPU, s", "times PDFium", "memory, MB")
    table.add_row("PDFium alone", "", f"{alone_s:.1f}", "", f"{alone_cpu_s:.1f}", "", "")
    for name, each in (("first", cold), ("next", warm)):
        times, cpu_times = f"{each.all_s / alone_s:.2f}", f"{each.cpu_s / alone_cpu_s:.2f}"
        seconds = (f"{each.first_s:.2f}", f"{each.all_s:.1f}", times, f"{each.cpu_s:.1f}", cpu_times)
        table.add_row(name, *seconds, f"{each.memory / 2**20:.0f}")
    Console().print(table)
    ROWS[0].tell([cold.first_s])
    ROWS[1].tell([cold.cpu_s], [alone_cpu_s])
    ROWS[2].tell([warm.first_s])
    ok = cold.first_s < MOST_FIRST_S and warm.first_s < MOST_WARM_S and cold.all_s <= MOST_TIMES * alone_s
    return 0 if ok and cold.rows and warm.rows else 1


if __name__ == "__main__":
    raise SystemExit(main())
