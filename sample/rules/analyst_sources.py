"""Which stored tables the analyst can compute on, and what is in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.stand_in.packets import EvidenceInfo, SpecialistPacket
from app.stand_in.turns import rows_of
from sample.rules.claims import subject
from sample.rules.periods import month_number, span
from sample.rules.reading import BASIC_MEASURES, read
from sample.rules.sales_findings import FIGURES
from sample.rules.vocabulary import TIME

GROUPS = ("country", "product", "category", "channel", "segment")


@dataclass(frozen=True)
class Source:
    """A stored table. `groups` are the columns whose value differs between its rows."""

    evidence: str
    time: str | None
    groups: tuple[str, ...]
    column: str
    words: str
    unit: str
    filters: Mapping[str, Sequence[str]]
    period: str
    rows: list[dict[str, str]]
    size: int

    @property
    def subject(self) -> str:
        fixed = {name: values for name, values in self.filters.items() if name not in self.groups}
        return subject(self.words, fixed)

    @property
    def last(self) -> int | None:
        """The last month, from the preview or, when that is cut, by counting on from the first."""
        if self.time != "month" or not self.rows:
            return None
        if len(self.rows) >= self.size:
            return month_number(self.rows[-1].get("month", ""))
        first = month_number(self.rows[0].get("month", ""))
        return None if first is None else first + self.size - 1

    def series(self, label: str | None = None, where: Mapping[str, str] | None = None) -> dict[str, object]:
        """The table by reference, as the analytics tools take it."""
        reference: dict[str, object] = {
            "evidence_id": self.evidence,
            "label_column": label or self.time or self.groups[0],
            "value_column": self.column,
        }
        return reference | ({"where": dict(where)} if where else {})

    def values(self, column: str) -> list[str]:
        """The distinct values of a column in the preview."""
        return list(dict.fromkeys(row[column] for row in self.rows if row.get(column)))


def sources(packet: SpecialistPacket) -> list[Source]:
    """Every table of the packet with a figure that the task is about."""
    measures = [each for each in read(f"{packet.objective} {packet.question}").measures if each in BASIC_MEASURES]
    return [
        source for measure in measures or ["revenue"] for each in packet.evidence if (source := _source(each, measure))
    ]


def _source(evidence: EvidenceInfo, measure: str) -> Source | None:
    column, words, unit = FIGURES[measure]
    if column not in evidence.columns:
        return None
    rows = rows_of(evidence.preview).rows
    filters = _filters(evidence.arguments)
    groups = tuple(name for name in GROUPS if name in evidence.columns and len(filters.get(name, ())) != 1)
    time = next((name for name in TIME if name in evidence.columns), None)
    if time is None and not groups:
        return None
    return Source(
        evidence=evidence.id,
        time=time,
        groups=groups,
        column=column,
        words=words,
        unit=unit,
        filters=filters,
        period=_period(evidence.arguments),
        rows=rows,
        size=evidence.rows or len(rows),
    )


def _period(arguments: Mapping[str, object]) -> str:
    """The label of the period that the table was asked for."""
    given = arguments.get("period")
    bounds = given if isinstance(given, dict) else {"start": given, "end": given}
    start, end = (month_number(str(bounds.get(each, ""))) for each in ("start", "end"))
    return span(start, end).label if start is not None and end is not None else "the whole period of the data"


def _filters(arguments: Mapping[str, object]) -> dict[str, list[str]]:
    given = arguments.get("filters")
    if not isinstance(given, dict):
        return {}
    return {str(name): [str(each) for each in values] for name, values in given.items() if isinstance(values, list)}
