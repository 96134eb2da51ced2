"""Reads a Dockerfile and a .dockerignore: as much of them as ours use, and an error for the rest."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

WORDS = {
    *("ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "VOLUME", "EXPOSE"),
    *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")


@dataclass(frozen=True)
class Step:
    """One instruction: `COPY --from=build a b` has the word COPY, the flag from and the rest `a b`."""

    word: str
    flags: dict[str, str]
    rest: str

    @property
    def arguments(self) -> list[str]:
        """The rest in words: a JSON list as it is, anything else as a shell splits it."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else shlex.split(self.rest)


def parse(text: str) -> list[Step]:
    """The steps of a Dockerfile. Raises ValueError for an instruction that is not known here."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [_step(line) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


def _step(line: str) -> Step:
    word, _, rest = line.strip().partition(" ")
    if word not in WORDS:
        raise ValueError(f"not an instruction that is understood here: {line}")
    flags = {}
    rest = rest.strip()
    while found := FLAG.match(rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    return Step(word, flags, rest)


class Ignore:
    """A .dockerignore: the last line that matches a path, or a folder it is in, decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._rules = [(_pattern(each.removeprefix("!")), each.startswith("!")) for each in patterns]
        self._kept = [PurePosixPath(each[1:]).parts[0] for each in patterns if each.startswith("!")]

    def lets_through(self, path: PurePosixPath) -> bool:
        """Whether a file, by its path in the folder, goes to the builder."""
        names = [str(path), *(str(each) for each in path.parents)][:-1]
        passes = True
        for pattern, keeps in self._rules:
            if any(pattern.fullmatch(name) for name in names):
                passes = keeps
        return passes

    def files(self, folder: Path) -> Iterator[PurePosixPath]:
        """Every file below that is let through. A folder at the top is entered when it, or something in it, can be."""
        for top in sorted(folder.iterdir()):
            if self.lets_through(PurePosixPath(top.name)) or top.name in self._kept:
                found = [top] if top.is_file() else sorted(each for each in top.rglob("*") if each.is_file())
                below = (PurePosixPath(each.relative_to(folder)) for each in found)
                yield from (each for each in below if self.lets_through(each))


def _pattern(line: str) -> re.Pattern[str]:
    translated = re.escape(line.strip("/")).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*")
    return re.compile(translated.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
