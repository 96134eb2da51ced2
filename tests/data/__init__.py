"""Data of a business that only the tests know, for tests that need some and do not ask which."""

from pathlib import Path

_HERE = Path(__file__).parent

SALES = _HERE / "sales.sql"
DOCUMENTS = _HERE / "documents"
CASES = Path(__file__).parent / "cases"  # what strangers brought
