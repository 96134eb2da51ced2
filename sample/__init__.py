"""The sample business: Voltbay, which makes charging stations. All that the project has of it is in this folder.

Nothing else names it. Whoever needs a sample takes it from these lines, which a fork replaces (`make fork`).
"""

from pathlib import Path

_HERE = Path(__file__).parent

QUESTION = (
    "How did our wallbox sales in Germany develop against the market in 2025, and what should we expect for 2026?"
)
DOCUMENTS = _HERE / "documents"  # a folder, as TOLLGATE_KNOWLEDGE_BASE_DATA names one
SALES = _HERE / "sales.sql"  # data, as TOLLGATE_SALES_DATA names them
EVAL_QUESTIONS = "sample.questions:asked"  # called without arguments, gives evals.questions.Question objects
POLICY = "sample.rules"  # the rules of the stand-in model that know this business; None for the generic ones alone
BASELINE = _HERE / "baseline.json"  # what `make evals` may not fall below
