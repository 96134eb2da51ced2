"""The sample: three documents, a table and a few questions. Put your own in their place."""

from pathlib import Path

_HERE = Path(__file__).parent

QUESTION = "What was our revenue in the North in 2025, and how long does delivery take?"
DOCUMENTS = _HERE / "documents"  # a folder, as TOLLGATE_KNOWLEDGE_BASE_DATA names one
SALES = _HERE / "sales.csv"  # data, as TOLLGATE_SALES_DATA names them
POLICY = None  # rules of the stand-in model for this sample; it has its own for any
EVAL_QUESTIONS = "sample.questions:asked"  # called without arguments, gives evals.questions.Question objects
BASELINE = _HERE / "baseline.json"  # what `make evals` may not fall below
