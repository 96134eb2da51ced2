"""Performs the steps of a Dockerfile in a folder, as an unprivileged user, in place of a container engine.

What differs from a real build: the base image is this machine with one of its Pythons, which is said; Debian's packages
are those of this machine; paths of the image are paths below the folder; and every step runs as nobody, not as root.
"""

import os
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.dockerfile import Ignore, Step, parse

NOBODY = 65534
OF_THE_MACHINE = ("usr/", "bin/", "dev/", "etc/", "proc/")
PATH = re.compile(rf"(?<![\w./:-])/(?!{'|'.join(OF_THE_MACHINE)})(?=\w)")
PASSED_ON = ("PIP_", "SSL_", "REQUESTS_", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
PYTHONS = (os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3")
CAN_INSTALL = "import sys, venv, ensurepip; assert sys.version_info >= (3, 11)"


class Failed(Exception):
    """A step or a program did not do what it must; the message says which."""


class Image:
    """The image as far as it is built: files below `root`, and what a container would be started with."""

    def __init__(self, context: Path, folder: Path) -> None:
        self.context, self.folder, self.root = context, folder, folder / "image"
        self.user = "0"
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.healthcheck: list[str] = []
        self.environment: dict[str, str] = {}
        self._arguments: dict[str, str] = {}
        self._stage = ""
        self._workdir = "/"
        folder.chmod(0o755)
        for name in ("home", "tmp", "context", "stages"):
            self._own(folder / name)
        self._python = self._base()

    def build(self) -> None:
        """Perform every step. Raises Failed when one fails."""
        ignore = Ignore((self.context / ".dockerignore").read_text())
        for name in ignore.files(self.context):
            target = self.folder / "context" / name
            self._own(target.parent)
            shutil.copyfile(self.context / name, target)
        for step in parse((self.context / "Dockerfile").read_text()):
            print(f"{step.word:<11} {' '.join([*(f'--{k}={v}' for k, v in step.flags.items()), step.rest])[:98]}")
            self._perform(step)

    def run(self, command: list[str], **options: Any) -> "subprocess.Popen[str]":
        """Start a program as the image's user, with the image's environment, and `env` on top."""
        uid = int(self.user.partition(":")[0])
        environment = (
            self.environment | {"TMPDIR": str(self.folder / "tmp"), "LANG": "C.UTF-8"} | options.pop("env", {})
        )
        here = self.root / self._workdir.strip("/")
        return subprocess.Popen(command, cwd=here, env=environment, text=True, **as_user(uid), **options)

    def at(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / str(PurePosixPath(self._workdir) / path).strip("/")

    def _perform(self, step: Step) -> None:
        match step.word:
            case "ARG":
                name, _, value = step.rest.partition("=")
                self._arguments |= {name: value} if value else {}
            case "FROM":
                self._from(*step.arguments)
            case "ENV":
                pairs = (each.partition("=") for each in step.arguments)
                self.environment |= {name: self._mapped(self._expanded(value)) for name, _, value in pairs}
            case "WORKDIR":
                self._workdir = step.rest
                self._own(self.at(""))
            case "RUN" if step.rest.startswith("apt-get "):
                print("  not performed: Debian's packages are those of this machine")
            case "RUN":
                self._sh(self._mapped(step.rest))
            case "COPY":
                self._copy(step)
            case "USER":
                self.user = step.rest
            case "ENTRYPOINT":
                self.entrypoint = step.arguments
            case "CMD":
                self.command = step.arguments
            case "HEALTHCHECK":
                self.healthcheck = list(Step("CMD", {}, step.rest.partition("CMD ")[2]).arguments)
            case "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL":
                pass  # say something of the image, and do nothing

    def _from(self, base: str, _: str = "AS", name: str = "final") -> None:
        print(f"  {self._expanded(base)} is here {self._python} and the tools of this machine")
        if self._stage:
            self.root.rename(self.folder / "stages" / self._stage)
        self._stage, self._workdir = name, "/"
        self._own(self.root)
        inherited = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
        self.environment = {**inherited, "PIP_QUIET": "1", "HOME": str(self.folder / "home")}
        self.environment["PATH"] = f"{self.folder / 'base' / 'bin'}:/usr/bin:/bin"

    def _copy(self, step: Step) -> None:
        *sources, target = step.arguments
        if stage := step.flags.get("from"):
            if sources != [target]:
                raise Failed(f"a COPY --from that changes a path cannot be performed here: {step.rest}")
            self._own(self.at(target).parent)
            (self.folder / "stages" / stage / target.strip("/")).rename(self.at(target))
        for source in [] if stage else sources:
            found = self.folder / "context" / source
            if not found.exists():
                raise Failed(f"COPY {source}: it is not there, or .dockerignore keeps it back")
            into = self.at(target)
            shutil.copytree(found, into, dirs_exist_ok=True) if found.is_dir() else shutil.copy2(found, into)
        if os.geteuid() == 0:
            owner = int(step.flags.get("chown", f"{NOBODY}").partition(":")[0])
            for each in [self.at(target), *self.at(target).rglob("*")]:
                os.chown(each, owner, owner, follow_symlinks=False)

    def _sh(self, command: str) -> None:
        uid = NOBODY if self.user == "0" else int(self.user.partition(":")[0])
        environment = self.environment | {"TMPDIR": str(self.folder / "tmp")}
        done = subprocess.run(
            ["/bin/sh", "-ec", command], cwd=self.at(""), env=environment, check=False, **as_user(uid)
        )
        if done.returncode:
            raise Failed(f"RUN {command}: exit code {done.returncode}")

    def _base(self) -> Path:
        """A Python as the base image has it: with pip, and first on the path. Its tools are the machine's."""
        for python in PYTHONS:
            try:
                subprocess.run([python, "-c", CAN_INSTALL], check=True, capture_output=True, **as_user(NOBODY))
            except (OSError, subprocess.CalledProcessError):
                continue
            base = self.folder / "base"
            self._own(base)
            subprocess.run([python, "-m", "venv", str(base)], check=True, **as_user(NOBODY))
            return Path(python)
        raise Failed(f"no Python 3.11 with venv that an unprivileged user may run; looked at {', '.join(PYTHONS)}")

    def _own(self, folder: Path) -> None:
        for each in [*reversed(folder.parents), folder]:
            if not each.exists():
                each.mkdir()
                if os.geteuid() == 0:
                    os.chown(each, NOBODY, NOBODY)

    def _mapped(self, text: str) -> str:
        return PATH.sub(f"{self.root}/", text)

    def _expanded(self, text: str) -> str:
        return string.Template(text).safe_substitute(self._arguments | self.environment)


def as_user(uid: int) -> dict[str, Any]:
    """For `subprocess`: give up root for this user and its group alone. Who is not root stays who they are."""
    return {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 else {}
