"""The mutations, read from the files beside this one: each an edit of one file, and the tests that must notice it."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

GROUPS = ("prompts", "tools", "guards", "checks")
ROOT = Path(__file__).parents[2]


class Mutation(BaseModel):
    """One edit.

    Attributes:
        name: what is broken.
        why: what would happen to users if nobody noticed.
        file: where, from the root of the repository.
        before: text that occurs in the file exactly once.
        after: what stands there instead.
        tests: pytest's ids of tests of which at least one must fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=5, max_length=80)
    why: str = Field(min_length=10)
    file: str
    before: str = Field(min_length=5)
    after: str
    tests: tuple[str, ...] = Field(min_length=1)
    group: str

    def applied_in(self, tree: Path) -> None:
        """Make the edit in a copy of the repository. Raises ValueError if the text is not there exactly once."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if (found := text.count(self.before)) != 1:
            raise ValueError(f"{self.name}: the text occurs {found} times in {self.file}; adapt `before`")
        path.write_text(text.replace(self.before, self.after), encoding="utf-8")


def mutations() -> tuple[Mutation, ...]:
    """All of them, group by group."""
    read = {group: tomllib.loads((Path(__file__).parent / f"{group}.toml").read_text("utf-8")) for group in GROUPS}
    return tuple(Mutation(group=group, **each) for group in GROUPS for each in read[group]["mutation"])


def sampled(all_of_them: tuple[Mutation, ...], count: int) -> tuple[Mutation, ...]:
    """So many, spread evenly over the list and so over the groups."""
    count = min(count, len(all_of_them))
    return tuple(all_of_them[index * len(all_of_them) // count] for index in range(count))
