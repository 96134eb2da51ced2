"""Breaks the product in one place at a time, in a copy of the tree, and runs the tests that are named for it.

    python -m evals.mutations [--sample N | --only NAME] [--update-table]

First the named tests run on an unchanged copy: a test that fails by itself would catch anything. A mutation is caught
when a test fails; one that breaks an import, or whose tests cannot be run, proves nothing and is a failure.
Exits with 1 if a mutation survives. With `--update-table` the result goes into README.md beside this file.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from app.config import settings as configuration
from evals.mutations.listed import ROOT, Mutation, mutations, sampled

AT_ONCE = 2
MOST_S = 300  # for the tests of one mutation, on a busy machine
GREEN_S = 600
TESTS_FAILED = 1  # exit code of pytest, as is 0 for all passed
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".data", ".*_cache", "node_modules")
README = Path(__file__).parent / "README.md"
_TABLE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- /table -->)", re.DOTALL)
_FAILED = re.compile(r"^FAILED \S+::(\w+)", re.MULTILINE)


class Ran(NamedTuple):
    """How tests ended: pytest's exit code (None: not in time), the tests that failed, the time, the output."""

    code: int | None
    failed: tuple[str, ...]
    seconds: float
    said: str


def main() -> int:
    """The command. Returns the exit code: 0, 1 if a mutation survived or could not be tried."""
    given = _arguments()
    chosen = tuple(each for each in mutations() if given.only in (None, each.name))
    chosen = sampled(chosen, given.sample or len(chosen))
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        green = _run(_copy(Path(folder), "green"), sorted({test for each in chosen for test in each.tests}), GREEN_S)
        if green.code != 0:
            print(f"the tests are not green without any mutation:\n{green.said}", file=sys.stderr)
            return 1
        print(f"all named tests pass without a mutation ({green.seconds:.0f} s)", flush=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ran = list(pool.map(lambda each: _tried(each, Path(folder)), chosen))
    rows = table(chosen, ran)
    print(f"\n{rows}")
    if given.update_table:
        README.write_text(_TABLE.sub(lambda _: rows, README.read_text("utf-8")), "utf-8")
    missed = [each.name for each, how in zip(chosen, ran, strict=True) if not is_caught(how)]
    for name in missed:
        print(f"not caught: {name}", file=sys.stderr)
    return 1 if missed else 0


def _tried(mutation: Mutation, folder: Path) -> Ran:
    tree = _copy(folder, mutation.name)
    mutation.applied_in(tree)
    ran = _run(tree, mutation.tests, MOST_S)
    shutil.rmtree(tree)
    print(f"{verdict(ran)} in {ran.seconds:.0f} s: {mutation.name}", flush=True)
    if not is_caught(ran):
        print(ran.said, file=sys.stderr)
    return ran


def _copy(folder: Path, name: str) -> Path:
    """A copy of the tree. Compiled files keep their time, so that only what is mutated is compiled again."""
    return Path(shutil.copytree(ROOT, folder / re.sub(r"\W+", "-", name), ignore=LEFT_OUT, symlinks=True))


def _run(tree: Path, tests: Sequence[str], most_s: float) -> Ran:
    """The tests, in a process that imports everything from this tree: it goes before what is installed."""
    options = ("-q", "-n0", "--no-header", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, "--hypothesis-profile", "fast", *tests]
    environment = configuration.bare_environment({"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"})
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=most_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Ran(None, (), most_s, f"the tests took more than {most_s:.0f} s")
    seconds = time.monotonic() - started
    failed = tuple(dict.fromkeys(_FAILED.findall(done.stdout)))
    return Ran(done.returncode, failed, seconds, f"{done.stdout[-3000:]}{done.stderr[-1000:]}")


def is_caught(ran: Ran) -> bool:
    """Whether a test failed, and not merely its fixtures or imports."""
    return ran.code == TESTS_FAILED and bool(ran.failed)


def verdict(ran: Ran) -> str:
    """In a word."""
    return "caught" if is_caught(ran) else "survived" if ran.code == 0 else "not tried"


def table(tried: Sequence[Mutation], ran: Sequence[Ran]) -> str:
    """The results as Markdown, with a line that sums them up."""
    lines = ["| what is broken | why it matters | file | result | failing tests |", "| --- | --- | --- | --- | --- |"]
    for group in dict.fromkeys(each.group for each in tried):
        lines.append(f"| **{group}** | | | | |")
        of_group = [(each, how) for each, how in zip(tried, ran, strict=True) if each.group == group]
        lines += [
            f"| {each.name} | {each.why} | `{each.file}` | {verdict(how)}, {how.seconds:.0f} s | "
            f"{', '.join(f'`{test}`' for test in how.failed)} |"
            for each, how in of_group
        ]
    caught, longest = sum(map(is_caught, ran)), max((each.seconds for each in ran), default=0)
    return "\n".join([*lines, "", f"{caught} of {len(ran)} caught; the slowest took {longest:.0f} s.\n"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.mutations", description="Break it, and see who notices.")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--sample", type=int, metavar="N", help="so many, spread over the kinds (default: all)")
    some.add_argument("--only", choices=[each.name for each in mutations()], metavar="NAME", help="one of them")
    parser.add_argument("--update-table", action="store_true", help="write the result into the README beside this")
    given = parser.parse_args()
    if given.sample is not None and given.sample < 1:
        parser.error("--sample needs at least 1")
    if given.update_table and (given.sample or given.only):
        parser.error("--update-table needs all mutations; leave out --sample and --only")
    return given


if __name__ == "__main__":
    raise SystemExit(main())
