"""The report: what the findings say, arranged for a reader. Nothing is added to them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agents.base import ReportDraft
from app.stand_in.packets import FindingInfo, ReportPacket
from app.stand_in.policy.report import NO_ANSWER, cited, gaps, ids, title, usable
from sample.rules.claims import ANALYSIS, MARKET, OWN, Stated, dimension_and_label, read_back
from sample.rules.reading import read
from sample.rules.vocabulary import MONTHS

IN_THE_ANSWER = 3
ROWS_FOR_A_TABLE = 3

NO_FORECAST = "The forecast that was asked for could not be made."
HEADINGS = {OWN: "Own sales", ANALYSIS: "Analysis", MARKET: "Market"}
AGENT_THEMES = {"sales": OWN, "analyst": ANALYSIS}

_MONTH = re.compile(rf"(?:{'|'.join(name.capitalize() for name in MONTHS)}) \d{{4}}")
_TIME = re.compile(rf"\d{{4}}(?:-Q[1-4])?|{_MONTH.pattern}")

# What a place of a template is called as the head of a column; places that are not here make no column.
_COLUMNS = {
    "item": "Part", "item2": "and", "country": "Country", "segment": "Segment", "period": "Period", "start": "From",
    "end": "To", "before": "Before", "after": "Amount", "target": "Target", "value": "Value", "verdict": "Target was",
    "low": "Lower", "high": "Upper",
}  # fmt: skip
_SPECIAL_COLUMNS = {
    ("customer", "item"): "Customer", ("customer", "value"): "Revenue", ("target", "value"): "Attainment",
    ("target for", "value"): "Attainment", ("target", "after"): "Revenue", ("target for", "after"): "Revenue",
    ("returned for", "before"): "Units sold", ("returned for", "after"): "Units back",
    ("returned for", "value"): "Return rate", ("returned", "before"): "Units sold",
    ("returned", "after"): "Units back", ("returned", "value"): "Return rate", ("growth", "value"): "Change",
    ("fastest", "value"): "Change",
    ("share", "value"): "Share", ("forecast", "value"): "Forecast",
    ("forecast total", "value"): "Forecast",
}  # fmt: skip
_CAPTIONS = {
    "customer": "Customers by revenue", "growth": "Change of {subject}",
    "fastest": "Change of {subject}", "share": "Shares of {subject}",
    "returned": "Units sent back, of those {where}", "returned for": "Units sent back, of those {where}",
    "forecast": "Forecast of {subject}, {interval} interval", "target": "{subject} against target",
    "forecast total": "Forecast of {subject}, {interval} interval", "target for": "{subject} against target",
}  # fmt: skip
_SAME_IN_A_TABLE = ("subject", "where", "interval")


@dataclass(frozen=True)
class Entry:
    """A finding with its claim read back, if its form is known."""

    finding: FindingInfo
    stated: Stated | None

    @property
    def theme(self) -> str:
        return self.stated.theme if self.stated else AGENT_THEMES.get(self.finding.agent, MARKET)

    @property
    def is_forecast(self) -> bool:
        return self.stated is not None and self.stated.form.startswith("forecast")

    @property
    def cited(self) -> str:
        """The claim as a sentence that ends in its evidence."""
        return cited(self.finding)


def write(packet: ReportPacket) -> ReportDraft:
    """An answer first, then the details by theme, then what could not be answered."""
    entries = _without_last_month(packet.question, [Entry(each, read_back(each.claim)) for each in usable(packet)])
    blocks = [_answer(packet.question, entries)]
    if len(entries) > len(_headlines(entries)):
        blocks += [block for theme in HEADINGS for block in _section(theme, entries)]
    blocks += _charts(packet.charts, entries) + gaps(packet.model_copy(update={"gaps": _told(packet.gaps)}))
    return ReportDraft(title=title(packet.question), body="\n\n".join(blocks))


def _answer(question: str, entries: list[Entry]) -> str:
    """The headlines; a forecast that was asked of the company's own figures and is missing is said to be so."""
    told = " ".join(entry.cited for entry in _headlines(entries))
    about_own = any(entry.theme == OWN for entry in entries)
    if about_own and "forecast" in read(question).intents and not any(entry.is_forecast for entry in entries):
        return f"{NO_FORECAST} {told}"
    return told or NO_ANSWER


def _without_last_month(question: str, entries: list[Entry]) -> list[Entry]:
    """The end of a series that was fetched for a forecast or for seasons answers nothing by itself."""
    asks_for_month = any(span.months == 1 for span in read(question).times.spans)
    is_computed_on = any(entry.is_forecast for entry in entries)
    if asks_for_month or not is_computed_on:
        return entries
    return [entry for entry in entries if not (entry.theme == OWN and _MONTH.fullmatch(entry.finding.period))]


def _headlines(entries: list[Entry]) -> list[Entry]:
    """What was observed and computed, what the market did, what is expected; topped up to three sentences."""
    by_theme = {theme: [entry for entry in entries if entry.theme == theme] for theme in HEADINGS}
    expected = [entry for entry in by_theme[ANALYSIS] if entry.is_forecast]
    computed = [entry for entry in by_theme[ANALYSIS] if not entry.is_forecast]
    told = [_leads(computed), _leads(by_theme[OWN]), _leads(by_theme[MARKET]), expected[:1]]
    chosen = [entry for each in told for entry in each]
    series = [entry for group in _groups(entries) if _is_series(group) for entry in group]
    rest = [entry for entry in [*by_theme[OWN], *computed, *by_theme[MARKET], *expected] if entry not in series]
    return chosen + [entry for entry in rest if entry not in chosen][: max(0, IN_THE_ANSWER - len(chosen))]


def _leads(entries: list[Entry]) -> list[Entry]:
    """The change over the whole time; the two ends of a series; else the first."""
    if not entries:
        return []
    if whole := [entry for entry in entries if entry.stated and entry.stated.form == "growth between"]:
        return whole[:1]
    group = _groups(entries)[0]
    if not _is_series(group):
        return group[:1]
    return [group[0], group[-1]]


def _is_series(group: list[Entry]) -> bool:
    """One figure at several times, in their order."""
    form = group[0].stated.form if group[0].stated else ""
    times = [entry.finding.period for entry in group]
    is_timed = form in {"measure", "growth"} and all(_TIME.fullmatch(each) for each in times)
    return len(group) > 1 and is_timed and times == sorted(times, key=_in_time)


def _in_time(period: str) -> tuple[str, int]:
    """`2024`, `2024-Q3` or `March 2024` as something that sorts."""
    name, _, year = period.rpartition(" ")
    return (year, MONTHS.index(name.lower())) if name else (period, 0)


def _section(theme: str, entries: list[Entry]) -> list[str]:
    """A heading and its findings: agreed sentences, tables, then sources that contradict one another."""
    own = [entry for entry in entries if entry.theme == theme]
    if not own:
        return []
    disputed = [entry for entry in own if entry.stated and entry.stated.form == "disagreement"]
    groups = _groups(entry for entry in own if entry not in disputed)
    small = [entry for group in groups if not _is_table(group) for entry in group]
    if len(small) == len(own) and all(entry in _headlines(entries) for entry in own):
        return []
    blocks = [f"## {HEADINGS[theme]}"]
    blocks += ["\n".join(f"- {entry.cited}" for entry in small)] if small else []
    blocks += [_table(group) for group in groups if _is_table(group)]
    if disputed:
        blocks += ["### Where sources disagree", _disputes(disputed)]
    return blocks


def _groups(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries of one form and one subject together; sentences of no known form each alone."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        key: tuple[str, ...] = (entry.finding.claim,)
        if entry.stated:
            fields = entry.stated.fields
            heads = (dimension_and_label(fields[name])[0] for name in ("item", "item2") if name in fields)
            is_year = str(fields.get("period", "").isdecimal())
            key = (entry.stated.form, is_year, *(fields.get(name, "") for name in _SAME_IN_A_TABLE), *heads)
        groups.setdefault(key, []).append(entry)
    return list(groups.values())


def _is_table(group: list[Entry]) -> bool:
    return len(group) >= ROWS_FOR_A_TABLE and group[0].stated is not None


def _disputes(entries: list[Entry]) -> str:
    return "\n".join(
        f"- {entry.stated.fields['statement'] if entry.stated else entry.finding.claim} {ids(entry.finding)}."
        for entry in entries
    )


def _table(entries: list[Entry]) -> str:
    """Entries of one form as rows; what they share stands above."""
    stated = [entry.stated for entry in entries if entry.stated]
    columns = [name for name in _COLUMNS if name in stated[0].fields]
    lines = [_row([*(_head(name, stated[0]) for name in columns), "Source"]), _row(["---"] * (len(columns) + 1))]
    for entry, each in zip(entries, stated, strict=True):
        lines.append(_row([*(_cell(name, each) for name in columns), ids(entry.finding)]))
    return f"{_caption(entries[0])}\n\n" + "\n".join(lines)


def _cell(name: str, stated: Stated) -> str:
    text = stated.fields[name]
    if name in {"item", "item2"}:
        text = dimension_and_label(text)[1]
    sign = {"rose": "+", "fell": "-"}.get(stated.fields.get("moved", ""), "") if name == "value" else ""
    return f"{sign}{text}".replace("|", "\\|")


def _head(name: str, stated: Stated) -> str:
    if name in {"item", "item2"} and (stated.form, name) not in _SPECIAL_COLUMNS and stated.form != "share":
        return dimension_and_label(stated.fields[name])[0].capitalize()
    return _SPECIAL_COLUMNS.get((stated.form, name), _COLUMNS[name])


def _caption(entry: Entry) -> str:
    """What the rows have in common, with its evidence where it holds a number."""
    assert entry.stated is not None
    text = _CAPTIONS.get(entry.stated.form, "{subject}").format(**entry.stated.fields)
    cited = f" {ids(entry.finding)}" if re.search(r"\d", text) else ""
    return f"**{text[:1].upper()}{text[1:]}**{cited}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _charts(charts: list[str], entries: list[Entry]) -> list[str]:
    """Pictures, named after the first thing that was computed or measured."""
    if not charts:
        return []
    ordered = sorted(entries, key=lambda entry: not entry.is_forecast)
    subject = next(
        (entry.stated.fields["subject"] for entry in ordered if entry.stated and "subject" in entry.stated.fields), ""
    )
    name = f"Chart of {subject}" if subject else "Chart"
    return ["## Charts", *(f"![{name}]({each}.svg)" for each in charts)]


def _told(found: list[str]) -> list[str]:
    """That nothing could be computed goes without saying where the data itself was missing."""
    return [gap for gap in found if not gap.startswith("Not computed")] or found
