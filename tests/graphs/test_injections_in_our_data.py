"""What ships raises no flag: every brief, every text in the sales data, every question that is asked of them."""

from pathlib import Path

import pytest

from evals.questions import questions
from evals.truth import truth
from graphs.untrusted.injections import flags_of
from graphs.untrusted.screening import screened
from mcp_servers.knowledge_base.documents import BRIEFS, SourceDocument, load
from mcp_servers.sales import generate
from mcp_servers.sales.database import open_locked

LIBRARY = load(BRIEFS)


@pytest.mark.parametrize("brief", LIBRARY.documents.values(), ids=LIBRARY.documents.keys())
def test_no_brief_is_flagged(brief: SourceDocument) -> None:
    assert flags_of(f"# {brief.title} | {brief.publisher} | {brief.url}\n{brief.text}") == []


def test_no_text_in_the_sales_data_is_flagged(data_dir: Path) -> None:
    (data_dir / "sales").mkdir(exist_ok=True)
    database, _ = generate.ensure(data_dir)
    with open_locked(database) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND data_type = 'VARCHAR'"
        ).fetchall()
        found = {
            f"{table}.{column}": connection.execute(f'SELECT DISTINCT "{column}" FROM "{table}"').fetchall()
            for table, column in columns
        }
    assert len(found) > 10
    texts = {name: "\n".join(str(value) for (value,) in rows) for name, rows in found.items()}
    assert [name for name, text in texts.items() if flags_of(text)] == []


def test_no_question_is_flagged() -> None:
    with truth() as known:
        asked = [each.text for each in questions(known)]
    assert {each: screened(each).flags for each in asked} == {each: [] for each in asked}
