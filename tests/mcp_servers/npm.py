"""Programs from npm that tests call: installed as a lock file has them, once, beside the packages of Python."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def node() -> str:
    """The program that runs them. Skips the test where it is not: nothing but tests needs it."""
    if shutil.which("npm") is None or (found := shutil.which("node")) is None:
        pytest.skip("this test needs Node.js 20 or newer with npm; install both (Debian: nodejs, npm)")
    return found


def installed(pinned: Path) -> Path:
    """The folder that has what the lock file in this folder names."""
    digest = hashlib.sha256((pinned / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix) / f"{pinned.name}-{digest}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(pinned / name, folder / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
            assert done.returncode == 0, f"npm could not install {pinned.name}:\n{done.stderr}"
            (folder / "installed").touch()
    return folder / "node_modules"
