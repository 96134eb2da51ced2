"""The list of mutations has not rotted: every edit can be made, and every test that should notice it exists."""

import ast
from functools import cache
from pathlib import Path

import pytest

from evals.mutations.__main__ import README, Ran, is_caught, table
from evals.mutations.listed import ROOT, Mutation, mutations, sampled

MUTATIONS = mutations()
every_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)


@cache
def functions_of(path: Path) -> frozenset[str]:
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(each.name for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def tree(folder: Path, text: str) -> Path:
    (folder / "guard.py").write_text(text)
    return folder


def mutation(**changed: str) -> Mutation:
    given = {"name": "a broken guard", "why": "it guards nothing", "file": "guard.py", "before": "x > 1"}
    return Mutation(**{**given, "after": "x > 2", "group": "guards", **changed}, tests=("tests/test_x.py::test_x",))


@every_mutation
def test_its_text_occurs_once_and_its_tests_exist(mutation: Mutation, tmp_path: Path) -> None:
    (tmp_path / mutation.file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mutation.file).write_bytes((ROOT / mutation.file).read_bytes())
    mutation.applied_in(tmp_path)
    assert (tmp_path / mutation.file).read_bytes() != (ROOT / mutation.file).read_bytes()
    if mutation.file.endswith(".py"):
        compile((tmp_path / mutation.file).read_text(encoding="utf-8"), mutation.file, "exec")
    for test in mutation.tests:
        path, _, name = test.partition("::")
        assert name.partition("[")[0] in functions_of(ROOT / path), test


def test_names_are_unique_and_all_kinds_are_broken() -> None:
    assert len({each.name for each in MUTATIONS}) == len(MUTATIONS)
    counts = {kind: sum(each.group == kind for each in MUTATIONS) for kind in ("prompts", "tools", "guards", "checks")}
    assert counts["prompts"] >= 4
    assert counts["tools"] >= 5
    assert counts["guards"] >= 8
    assert counts["checks"] >= 5


def test_a_sample_has_all_kinds() -> None:
    assert {each.group for each in sampled(MUTATIONS, 4)} == {each.group for each in MUTATIONS}
    assert sampled(MUTATIONS, 1_000) == MUTATIONS


@pytest.mark.parametrize("text", ["x > 2", "x > 1 or x > 1"])
def test_an_edit_that_is_not_exactly_one_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"a broken guard: the text occurs \d times in guard.py; adapt `before`"):
        mutation().applied_in(tree(tmp_path, text))


def test_only_a_failing_test_catches() -> None:
    failing, passing = Ran(1, ("test_x",), 2.0, ""), Ran(0, (), 3.0, "")
    broken_import, broken_fixture, endless = Ran(2, (), 1.0, ""), Ran(1, (), 1.0, ""), Ran(None, (), 120.0, "")
    ran = [failing, passing, broken_import, broken_fixture, endless]
    assert [is_caught(each) for each in ran] == [True, False, False, False, False]
    shown = table([mutation()] * 5, ran)
    assert "caught, 2 s | `test_x`" in shown
    assert "survived, 3 s" in shown
    assert "1 of 5 caught; the slowest took 120 s" in shown


def test_the_page_shows_all_of_them_and_none_that_survived() -> None:
    shown = README.read_text(encoding="utf-8").partition("<!-- table -->")[2]
    assert [each.name for each in MUTATIONS if f"| {each.name} | {each.why} |" not in shown] == []
    assert f"{len(MUTATIONS)} of {len(MUTATIONS)} caught" in shown
