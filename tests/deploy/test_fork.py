"""A fork is a project of its own: another name, a small sample, and everything green."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deploy.fork import OLD, Refused, fork
from tests.app.command_line import environment

pytestmark = pytest.mark.xdist_group("fork")  # one process makes it
ROOT = Path(__file__).parents[2]
BUILT = sysconfig.get_path("purelib")  # what the checkout has installed, its own package apart


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that was made into `cloudberrybudget`, which is longer than the name it had."""
    copy = tmp_path_factory.mktemp("fork") / "copy"
    _checkout(copy)
    fork(copy, "cloudberrybudget")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(copy / ".venv")], check=True)
    [packages] = (copy / ".venv").glob("lib/python*/site-packages")
    (packages / "built.pth").write_text(f"{BUILT}\n")
    quiet = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(copy / ".venv/bin/python"),
        "install",
        *quiet,
        "-e",
        str(copy),
    ]
    subprocess.run(install, check=True)
    return copy


def _checkout(copy: Path) -> None:
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    _git(copy, "init", "-q")
    _git(copy, "add", "--all")
    _git(copy, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "as it was")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def ours(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A program of the fork, in its own environment."""
    return subprocess.run(
        [folder / ".venv/bin/python", *command],
        cwd=folder,
        env=environment({"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_old_name_is_nowhere_and_all_is_staged(forked: Path) -> None:
    found = subprocess.run(["git", "grep", "-il", OLD], cwd=forked, capture_output=True, text=True, check=False)
    assert found.stdout == "LICENSE\n"  # which names whose work it was
    assert (forked / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "reference application" not in (forked / "pyproject.toml").read_text()
    assert all(line[1] == " " for line in _git(forked, "status", "--porcelain").splitlines())
    for gone in ("voltbay", "make fork", "deploy/fork"):
        assert subprocess.run(["git", "grep", "-iq", gone], cwd=forked, check=False).returncode == 1, gone


@pytest.mark.slow
@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_it_passes_the_checks(forked: Path, command: tuple[str, ...]) -> None:
    ended = ours(forked, "-m", *command)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_its_import_contracts_hold(forked: Path) -> None:
    ended = ours(forked, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_its_handbook_is_built(forked: Path) -> None:
    ended = ours(forked, "-m", "mkdocs", "build", "--strict")
    assert ended.returncode == 0, ended.stderr
    assert "Cloudberrybudget" in (forked / "site/index.html").read_text()


@pytest.mark.slow
def test_its_sample_answers_the_question_of_its_demo(forked: Path) -> None:
    quick = ("-q", "-n0", "-p", "no:randomly", "-p", "no:schemathesis", "-p", "no:langsmith_plugin")
    ended = ours(forked, "-m", "pytest", *quick, "tests/sample", "tests/agents", "-k", "not described")
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


@pytest.mark.parametrize("name", ["", "Acme", "9lives", "a-b", "tollgate"])
def test_a_bad_name_changes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="no name for a project"):
        fork(tmp_path, name)


def test_what_is_no_clone_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no git clone"):
        fork(tmp_path, "acme")


def test_uncommitted_changes_are_not_mixed_in(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "mine.txt").write_text("unfinished")
    with pytest.raises(Refused, match="commit them first"):
        fork(tmp_path, "acme")
    assert (tmp_path / "mine.txt").read_text() == "unfinished"
