"""What ships raises no flag: every brief, every text in the sales data, every question that is asked of them."""

from pathlib import Path

import pytest

import sample
from evals.questions import asked
from graphs.untrusted.injections import flags_of
from graphs.untrusted.screening import screened
from mcp_servers.knowledge_base.documents import SourceDocument
from mcp_servers.sales import own_data
from mcp_servers.sales.database import open_locked
from tests.mcp_servers.knowledge_base.answers import library_of

LIBRARY = library_of(sample.DOCUMENTS)


@pytest.mark.parametrize("brief", LIBRARY.documents.values(), ids=LIBRARY.documents.keys())
def test_no_brief_is_flagged(brief: SourceDocument) -> None:
    assert flags_of(f"# {brief.title} | {brief.publisher} | {brief.url}\n{brief.text}") == []


@pytest.mark.slow
def test_no_text_in_the_sales_data_is_flagged(with_sales: Path) -> None:
    database, _ = own_data.load(sample.SALES, with_sales)
    with open_locked(database) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name) "
            "WHERE data_type = 'VARCHAR' AND schema_name = 'main'"
        ).fetchall()
        found = {
            f"{table}.{column}": connection.execute(f'SELECT DISTINCT "{column}" FROM "{table}"').fetchall()
            for table, column in columns
        }
    assert len(found) > 10
    texts = {name: "\n".join(str(value) for (value,) in rows) for name, rows in found.items()}
    assert [name for name, text in texts.items() if flags_of(text)] == []


@pytest.mark.slow
def test_no_question_is_flagged() -> None:
    texts = [each.text for each in asked()]
    assert {each: screened(each).flags for each in texts} == {each: [] for each in texts}
