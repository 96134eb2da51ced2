"""`make fork NAME=acme`: makes a project of your own out of this checkout.

Renames the project, its command, its settings and its metrics everywhere, puts the files of `deploy/skeleton/` in the
place of the sample business, and stages the result in git. Look at it with `git diff --cached --stat`, then commit.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLD = "tollgate"
ROOT = Path(__file__).parents[1]
SKELETON = Path("deploy/skeleton")
GONE = ("sample", "tests/sample", "docs/images", "deploy/skeleton", "deploy/fork.py", "tests/deploy/test_fork.py")
NAME = re.compile(r"[a-z][a-z0-9]{1,29}")
KEPT = "LICENSE"  # whose work it was stays true
GRAPH = re.compile("<!-- graph -->.*<!-- /graph -->", re.DOTALL)  # what `make docs` writes into the README
ONCE = re.compile("<!-- fork -->.*?<!-- /fork -->\n", re.DOTALL)  # tells how to make a fork
LINE = 120  # what ruff allows
DESCRIPTION = "Agents that answer questions from our data within hard budgets."


class Refused(Exception):
    """The fork was not begun; the message says why and what to do."""


def main() -> int:
    """The command: `python deploy/fork.py NAME`. Gives the exit code."""
    try:
        fork(ROOT, sys.argv[1] if len(sys.argv) == 2 else "")
    except Refused as reason:
        sys.stderr.write(f"error: {reason}\n")
        return 2
    return 0


def fork(root: Path, name: str) -> None:
    """Turn the checkout at `root` into the project `name`. Raises Refused and changes nothing when it cannot."""
    if not NAME.fullmatch(name) or name == OLD:
        raise Refused(f"NAME={name!r} is no name for a project; give 2 to 30 of a-z and 0-9: make fork NAME=acme")
    if not (root / ".git").exists():
        raise Refused("this is no git clone, and a fork is staged in git; clone the repository first")
    if _git(root, "status", "--porcelain"):
        raise Refused("there are uncommitted changes, which a fork would mix with its own; commit them first")
    if importlib.util.find_spec("ruff") is None:
        raise Refused("ruff, which tidies the result, is not installed here; run it as `make fork NAME=...`")
    skeleton = {path.relative_to(root / SKELETON): path.read_bytes() for path in _files(root / SKELETON)}
    picture = GRAPH.findall((root / "README.md").read_text(encoding="utf-8"))[0]
    for path in map(root.joinpath, GONE):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, content in skeleton.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    readme = (root / "README.md").read_text(encoding="utf-8")
    (root / "README.md").write_text(GRAPH.sub(lambda _: picture, readme), encoding="utf-8")
    _git(root, "add", "--all")
    for line in _git(root, "ls-files", "-z").split("\0"):
        if line and line != KEPT and not (root / line).is_symlink():
            _rename(root / line, name)
    _without_target(root / "Makefile")
    _describe(root / "pyproject.toml", name)
    for tidy in (("check", "--fix", "--select", "I"), ("format",)):  # names sort and wrap in another way
        subprocess.run([sys.executable, "-m", "ruff", *tidy, "--quiet", "."], cwd=root, check=True)
    _git(root, "add", "--all")


def _rename(path: Path, name: str) -> None:
    """Rename in the text, in the three ways it is written; the pages name the skeleton's data and no fork."""
    try:
        old = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # an image, an archive
        return
    new = old.replace(OLD, name).replace(OLD.capitalize(), name.capitalize()).replace(OLD.upper(), name.upper())
    new = ONCE.sub("", new.replace("sample/sales.sql", "sample/sales.csv"))
    if new != old:
        path.write_text(new, encoding="utf-8")


def _without_target(makefile: Path) -> None:
    """A fork is not forked again this way: its skeleton is gone."""
    text = re.sub(r"\nfork: .*?(?=\n\n)\n", "", makefile.read_text(encoding="utf-8"), flags=re.DOTALL)
    makefile.write_text(text.replace(" fork", "", 1), encoding="utf-8")


def _describe(pyproject: Path, name: str) -> None:
    """Say what the project is. Sentences that a longer name made too long are for their owner to break."""
    text = re.sub(r'(?m)^description = ".*"$', f'description = "{DESCRIPTION}"', pyproject.read_text(encoding="utf-8"))
    if (longer := len(name) - len(OLD)) > 0:
        text += f"\n[tool.ruff.lint.pycodestyle]\nmax-line-length = {LINE + 3 * longer}\n"
    pyproject.write_text(text, encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
