"""A job as recorded: what a replay and the stand-in answer from. JSON lines, one exchange a line.

| kind | what |
| --- | --- |
| job | first: the job as submitted, and which model wrote |
| run | a process goes on with the job: when, what it knew of the models, the decision that it goes on with |
| model | an attempt at a model call: request, answer or error; `like` names the line whose request it continues |
| tools | the tools that an agent was offered, or why none were |
| tool | a tool call: arguments, result or error |
| evidence | the id under which a result was stored |
| spend | what an agent's task read of the job's spending |
| counted | that a tool call of a task was counted, or the limit that refused it |
| ended | the end of that process's run |
| end | last: how the job ended, and its report |
| full | the record had no room for further lines |

A line with `cut` was too long, and has no content.
"""

import copy
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import orjson

from app.errors import BadInput
from app.observing.redaction import Redaction
from app.recording.asked import Json, same

Call = tuple[str, str, str, str]  # task, server, tool, arguments
OF_THE_LEDGER = ("spend", "counted")
LOOKED_UP = ("models", "tools", "evidence", "ledger")
NO_FAULT_OF_THE_JOB = {"DayUsedUp", "LedgerUnavailable", "Fenced"}  # another run asked again


@dataclass(frozen=True)
class Exchange:
    """An attempt at a model call. `request` is whole; None if it was refused before it was sent, or cut."""

    line: Json
    request: Json | None

    @property
    def error(self) -> Json | None:
        """How it failed, if not by an answer of the provider."""
        error: Json | None = self.line.get("error")
        return error


class Cassette:
    """The lines of a job, in order, and what can be looked up in them.

    `incomplete` says what of the job they lack. `models` are the attempts of each agent's task in order, `tools` and
    `evidence` those of equal calls, `ledger` what each task read there (`spend`) and had counted (`counted`).
    """

    def __init__(self, lines: Sequence[Json]) -> None:
        self.lines = list(_once(lines))
        self.job = self._one("job")
        self.end = self._one("end")
        self.runs = [each for each in self.lines if each["kind"] == "run"]
        self.models: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
        self.tools: dict[Call, list[Json]] = defaultdict(list)
        self.evidence: dict[Call, list[Json]] = defaultdict(list)
        self.ledger: dict[tuple[str, str], list[Json]] = defaultdict(list)  # by kind and task
        self.offered: dict[str, Json] = {}
        self._read()

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The cassette in a file. Raises BadInput."""
        try:
            texts = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"the cassette {path} cannot be read: {error}") from error
        lines = []
        for number, text in enumerate(texts, start=1):
            try:
                lines.append(json.loads(text))
                lines[-1]["kind"]
            except (ValueError, TypeError, KeyError) as error:
                told = f"{path}, line {number} is no line of a cassette; make one with tollgate cassette"
                raise BadInput(told) from error
        found = cls(lines)
        if not found.job:
            raise BadInput(f"{path} does not begin with its job; make it anew with tollgate cassette")
        return found

    def written(self, redact: Redaction) -> str:
        """The lines, for a file."""
        lines = [redact(each) if each["kind"] in {"job", "end"} else each for each in self.lines]  # the others are
        return "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in lines)

    @property
    def decisions(self) -> list[Json]:
        """The answers to escalations, each with the time of the run that went on with it."""
        return [each for each in self.runs if "decision" in each]

    @property
    def incomplete(self) -> list[str]:
        """What the record lacks, in words."""
        cut = [f"{_named(each)} was too long and is left out" for each in self.lines if "cut" in each]
        full = ["the record was full"] if self._one("full") else []
        ends = sum(each["kind"] == "ended" for each in self.lines)
        died = ["a process died, and what it was doing is missing"] if ends < len(self.runs) else []
        return [*cut, *full, *died, *([] if self.runs else ["nothing was recorded"])]

    def before(self, time: datetime) -> tuple[list[Json], "Cassette"]:
        """The exchanges that began before this time, and a cassette of the others."""
        past: list[Json] = []

        def later(lines: list[Json]) -> list[Json]:
            past.extend(each for each in lines if began(each) < time)
            return [each for each in lines if began(each) >= time]

        rest = copy.copy(self)
        rest.runs = [self.runs[0], *later(self.runs[1:])]
        rest.tools = {call: later(lines) for call, lines in self.tools.items()}
        rest.ledger = {whose: later(lines) for whose, lines in self.ledger.items()}
        rest.evidence = {call: later(lines) for call, lines in self.evidence.items()}
        rest.models = {
            whose: [each for each in found if began(each.line) >= time] for whose, found in self.models.items()
        }
        past += [each.line for found in self.models.values() for each in found if began(each.line) < time]
        return past, rest

    def _one(self, kind: str) -> Json:
        return next((each for each in self.lines if each["kind"] == kind), {})

    def _read(self) -> None:
        parts, whole = [_Part()], dict[str, Json]()
        for line in self.lines:
            if line["kind"] == "tools":
                self.offered.setdefault(line["agent"], line)
            elif "decision" in line:
                parts.append(_Part())
            parts[-1].take(line, whole)
        for part in parts:
            for name, each in vars(part).items():
                for key, found in each.items() if name in LOOKED_UP else ():
                    getattr(self, name)[key] += found


@dataclass
class _Part:
    """What is looked up, up to a decision or the end. Within it, runs repeat what the one before them had lost; what
    came before a decision stands, even if the same is asked after it."""

    models: dict[tuple[str, str], list[Exchange]] = field(default_factory=lambda: defaultdict(list))
    tools: dict[Call, list[Json]] = field(default_factory=lambda: defaultdict(list))
    evidence: dict[Call, list[Json]] = field(default_factory=lambda: defaultdict(list))
    ledger: dict[tuple[str, str], list[Json]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[Hashable, str] = field(default_factory=dict)  # the last one of each

    def take(self, line: Json, whole: dict[str, Json]) -> None:
        """Take in a line. `whole` are the requests so far, by their lines' ids."""
        if line["kind"] == "tool" and "cut" not in line:
            self._called(line, self.tools)
        elif line["kind"] == "evidence":
            self._called(line, self.evidence)
        elif line["kind"] in OF_THE_LEDGER:
            turn = sum(len(found) for (_, task), found in self.models.items() if task == line["task"])
            self.ledger[line["kind"], line["task"]].append({**line, "turn": turn})
        elif line["kind"] == "model":
            self._asked(line, _whole(line, whole))
            if request := self.models[line["agent"], line["task"]][-1].request:
                whole[line["id"]] = request

    def _called(self, line: Json, known: dict[Call, list[Json]]) -> None:
        call = call_of(line)
        if self._is_of_a_new_run((line["kind"], call), line):
            known[call].clear()
        known[call].append(line)

    def _asked(self, line: Json, request: Json | None) -> None:
        whose = line["agent"], line["task"]
        if self._is_of_a_new_run(whose, line):
            _go_back(self.models[whose], request)
            turn, run = len(self.models[whose]), run_of(line)
            for known in (self.ledger[kind, line["task"]] for kind in OF_THE_LEDGER):
                known[:] = [each for each in known if each["turn"] < turn or run_of(each) == run]
        self.models[whose].append(Exchange(line, request))

    def _is_of_a_new_run(self, what: Hashable, line: Json) -> bool:
        before, self.runs[what] = self.runs.get(what), run_of(line)
        return before not in {None, run_of(line)}


def run_of(line: Json) -> str:
    """Which run of the job it is from."""
    return str(line["id"]).partition(".")[0]


def began(line: Json) -> datetime:
    """When an exchange began, in UTC."""
    return datetime.fromisoformat(line["at"])


def ended(line: Json) -> datetime:
    """When it ended, in UTC."""
    return began(line) + timedelta(seconds=line["seconds"])


def call_of(line: Json) -> Call:
    """Which calls are equal."""
    arguments = orjson.dumps(line["arguments"], default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return line["task"], line["server"], line["tool"], arguments.decode()


def _once(lines: Iterable[Json]) -> Iterator[Json]:
    """Without those that the client has sent twice."""
    seen = set()
    for line in lines:
        if (line_id := line.get("id")) is None or line_id not in seen:
            seen.add(line_id)
            yield line


def _whole(line: Json, earlier: dict[str, Json]) -> Json | None:
    """The request of a line that may continue an earlier one's."""
    told: Json | None = line.get("request")
    if not told or "like" not in told:
        return told
    if (base := earlier.get(told["like"])) is None:
        return None
    kept: Json = {name: value for name, value in base.items() if name not in told.get("gone", ())}
    new = {name: value for name, value in told.items() if name not in {"like", "kept", "gone"}}
    return {**kept, **new, "messages": [*base["messages"][: told["kept"]], *told["messages"]]}


def _go_back(known: list[Exchange], request: Json | None) -> None:
    """A later run asks again what was asked when the one before it ended or died: forget what had come of that."""
    while known and (error := known[-1].error) and error["type"] in NO_FAULT_OF_THE_JOB:
        known.pop()
    for place, each in enumerate(known):
        if request and each.request and same(each.request, request):
            del known[place:]
            return


def _named(line: Json) -> str:
    """An exchange, for people."""
    what = f"{line['server']}.{line['tool']}" if "tool" in line else f"a {line['kind']} exchange"
    return " of ".join([what, *(each for each in (line.get("task"), line.get("agent")) if each)])
