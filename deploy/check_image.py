"""`make image`: runs the Dockerfile's build steps and the services of compose.yaml without a container engine.

Each service that runs our image, and Redis, which is this machine's `redis-server`, runs with its own command,
environment and health check, on 127.0.0.1 and free ports. A job must complete, each service must end on SIGTERM within
its grace period, and nothing may be written outside /data and /tmp.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

import sample

ROOT = Path(__file__).parents[1]
HEALTHY_S = 90.0
QUESTION = sample.QUESTION
PORT = re.compile(r"\b(?:6379|78\d\d|8000|9100)\b")
SECRET = re.compile(r"\$\{TOLLGATE_MCP_SECRET:.*?\}")

Process = subprocess.Popen[bytes]


class Stack:
    """The services of compose.yaml as local processes, using the build in `folder`."""

    def __init__(self, folder: Path, ending: contextlib.ExitStack) -> None:
        text = (ROOT / "compose.yaml").read_text()
        text = SECRET.sub(secrets.token_hex(32), text)  # from .env in Compose
        text = re.sub(rf"//({'|'.join(yaml.safe_load(text)['services'])}):", "//127.0.0.1:", text)
        ports = dict(zip(sorted(set(PORT.findall(text))), free_ports(), strict=False))
        text = PORT.sub(lambda found: ports[found[0]], text)
        services: dict[str, Any] = yaml.safe_load(text)["services"]
        self.services = {name: each for name, each in services.items() if "build" in each or name == "redis"}
        redis = self.services["redis"]
        redis["command"] += ["--port", ports["6379"], "--bind", "127.0.0.1"]
        redis["healthcheck"]["test"][1] = redis["healthcheck"]["test"][1].replace("-cli", f"-cli -p {ports['6379']}")
        self.folder, self._ending = folder, ending

    def start(self, service: str, command: list[str] | None = None) -> Process:
        """Start a service, or another command in its environment, until the check ends."""
        given = self.services[service]
        data = self.folder / "data" / service
        program = [*given.get("entrypoint", ["tollgate"]), *(command or given["command"])]
        return self._process(service, [str(data) if word == "/data" else word for word in program])

    def wait(self, service: str, process: Process) -> None:
        """Wait until its health check passes. Exits if it never does."""
        kind, *test = self.services[service]["healthcheck"]["test"]
        deadline = time.monotonic() + HEALTHY_S
        while self._process(service, ["sh", "-c", *test] if kind == "CMD-SHELL" else test).wait(HEALTHY_S):
            if process.poll() is not None or time.monotonic() > deadline:
                self._fail(f"{service} is not healthy", service)
            time.sleep(0.5)
        print(f"healthy    {service}")

    def run(self, service: str, *command: str) -> None:
        """Run a command in the environment of a service. Exits if it fails."""
        if self.start(service, list(command)).wait(HEALTHY_S):
            self._fail(f"tollgate {' '.join(command)} failed", service)
        print(f"succeeded  tollgate {command[0]}")

    def stop(self, service: str, process: Process) -> None:
        """Stop a service as Compose does. Exits if it exceeds its grace period."""
        grace = float(self.services[service].get("stop_grace_period", "10s").rstrip("s"))
        try:
            print(f"stopped    {service}: exit code {process.wait(grace)}")
        except subprocess.TimeoutExpired:
            self._fail(f"{service} did not end within its grace period of {grace:g} s", service)

    def _process(self, service: str, command: list[str]) -> Process:
        data = self.folder / "data" / service
        data.mkdir(parents=True, exist_ok=True)
        given = self.services[service].get("environment", {}) | {"TOLLGATE_DATA_DIR": str(data)}
        path = f"{self.folder}/opt/tollgate/bin:{os.environ['PATH']}"
        told = {"PATH": path, "HOME": str(data), "TMPDIR": str(data), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        environment = {name: value for name, value in (given | told).items() if value}
        command = [shutil.which(command[0], path=path) or command[0], *command[1:]]
        log = self._ending.enter_context((self.folder / f"{service}.log").open("ab"))
        process = subprocess.Popen(command, cwd=data, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._ending.callback(process.wait)
        self._ending.callback(process.kill)
        return process

    def _fail(self, why: str, service: str) -> None:
        sys.exit(f"FAILED: {why}:\n{(self.folder / f'{service}.log').read_text()[-2000:]}")


def free_ports() -> list[str]:
    """More free ports than compose.yaml needs."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(10)]
        return [str(each.getsockname()[1]) for each in sockets]


def build(folder: Path) -> None:
    """Copy what .dockerignore admits, and run the Dockerfile's steps on it."""
    source = folder / "opt" / "source"
    source.mkdir(parents=True)
    for name in re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    for step in re.findall(r"^RUN (?!apt-get)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        print(f"RUN        {step[:100]}")
        command = re.sub(r"(?<=\s)/(?=opt|data)", f"{folder}/", step)
        environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "PIP_QUIET": "1"}
        subprocess.run(["sh", "-ec", command], cwd=source, env=environment, check=True)


def files(folder: Path) -> set[tuple[str, int]]:
    """Every path in the folder, and its time of change."""
    return {(str(each), each.lstat().st_mtime_ns) for each in folder.rglob("*")}


def main() -> None:
    """Exits with 1 and the reason if a check fails."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        build(folder)
        installed = files(folder / "opt")
        stack = Stack(folder, ending)
        stack.wait("redis", stack.start("redis"))
        stack.run("api", "keys", "create", "--tenant", "check", "--scope", "read")  # it does not serve without one
        started = {service: stack.start(service) for service in stack.services if service != "redis"}
        for service, process in started.items():
            stack.wait(service, process)
        stack.run("worker", "run", QUESTION, "--json")
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        for service, process in started.items():
            stack.stop(service, process)
        if changed := files(folder / "opt") ^ installed:
            sys.exit(f"FAILED: written outside /data and /tmp: {sorted(changed)[:5]}")


if __name__ == "__main__":
    main()
