"""`make image`: performs the Dockerfile's steps and starts what compose.yaml starts, without a container engine.

Every service of the image is started with its own command and environment; names of services become 127.0.0.1, and
ports free ones. Each must pass the image's own health check, a job must end as completed, each must end on SIGTERM
within its grace period, and nothing may be written outside /data and /tmp. Redis is this machine's `redis-server`.
"""

import contextlib
import json
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

import sample
from deploy.image import NOBODY, Failed, Image, as_user

ROOT = Path(__file__).parents[1]
HEALTHY_S = 90.0
QUESTION = sample.QUESTION

REQUIRED = re.compile(r"\$\{(?P<name>\w+):\?[^}]*\}")

Processes = dict[str, "subprocess.Popen[str]"]


class Check:
    """The services of compose.yaml as processes of this machine."""

    def __init__(self, image: Image, compose: dict[str, Any]) -> None:
        self.image = image
        self.services: dict[str, Any] = compose["services"]
        self.logs = image.folder / "logs"
        self.logs.mkdir()
        self._settings = {"TOLLGATE_MCP_SECRET": secrets.token_hex(32)}  # what compose.yaml takes from .env
        ports = set(re.findall(r"\b(?:6379|78\d\d|8000)\b", json.dumps(self.services)))
        self._ports = dict(zip(sorted(ports), _free_ports(len(ports)), strict=True))

    def start_all(self, stack: contextlib.ExitStack) -> Processes:
        """Every service, healthy. Raises Failed with the log of one that is not."""
        started: Processes = {"redis": self._redis(stack)}
        for name, service in self.services.items():
            if name == "api":
                self._make_a_key(stack)  # without one it refuses to serve beyond its own machine
            if name != "redis":
                started[name] = self._start(name, [*self._entrypoint(service), *service["command"]], stack)
        for name, process in started.items():
            if name != "redis":
                self._wait(name, process)
        return started

    def run_a_job(self) -> None:
        """A job with the environment of a worker, on the programs that run. Raises Failed unless it completes."""
        command = ["tollgate", "run", QUESTION, "--json"]
        with contextlib.ExitStack() as stack:
            process = self._start("worker", command, stack, log="job")
            if process.wait(HEALTHY_S):
                raise Failed(f"the job ended with exit code {process.returncode}:\n{self._log('job')}")
        print("job         completed")

    def stop_all(self, started: Processes) -> None:
        """SIGTERM to all but Redis, and each ends in time. Raises Failed for one that does not."""
        programs = {name: process for name, process in started.items() if name != "redis"}
        for process in programs.values():
            process.send_signal(signal.SIGTERM)
        for name, process in programs.items():
            grace = float(str(self.services[name].get("stop_grace_period", "10s")).rstrip("s"))
            try:
                print(f"stopped     {name}: exit code {process.wait(grace)}")
            except subprocess.TimeoutExpired as error:
                raise Failed(f"{name} did not end within its grace period of {grace:g} s") from error

    def _make_a_key(self, stack: contextlib.ExitStack) -> None:
        command = ["tollgate", "keys", "create", "--tenant", "check", "--scope", "read"]
        if self._start("api", command, stack, log="key").wait(HEALTHY_S):
            raise Failed(f"no key could be made:\n{self._log('key')}")

    def _start(
        self, name: str, command: list[str], stack: contextlib.ExitStack, log: str | None = None
    ) -> "subprocess.Popen[str]":
        output = stack.enter_context((self.logs / (log or name)).open("w"))
        program = [self._here(word) for word in command]
        program[0] = shutil.which(program[0], path=self.image.environment["PATH"]) or program[0]
        process = self.image.run(
            program, env=self._environment(name), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        stack.callback(_end, process)
        return process

    def _redis(self, stack: contextlib.ExitStack) -> "subprocess.Popen[str]":
        service = self.services["redis"]
        data = self.image.folder / "redis"
        data.mkdir()
        if os.geteuid() == 0:
            os.chown(data, NOBODY, NOBODY)
        command = [*service["entrypoint"], *service["command"], "--port", self._ports["6379"], "--bind", "127.0.0.1"]
        command = [str(data) if word == "/data" else word for word in command]
        output = stack.enter_context((self.logs / "redis").open("w"))
        process = subprocess.Popen(command, text=True, stdout=output, stderr=output, **as_user(NOBODY))
        stack.callback(_end, process)
        return process

    def _wait(self, name: str, process: "subprocess.Popen[str]") -> None:
        """Ask the image's health check until it is content, as an engine does."""
        began = time.monotonic()
        said = "it ended"
        while process.poll() is None and time.monotonic() - began < HEALTHY_S:
            command = [*self.image.healthcheck, str(process.pid)]
            command[0] = shutil.which(command[0], path=self.image.environment["PATH"]) or command[0]
            with self.image.run(command, env=self._environment(name), stderr=subprocess.PIPE) as asked:
                _, said = asked.communicate()
            if asked.returncode == 0:
                print(f"healthy     {name}")
                return
            time.sleep(0.5)
        raise Failed(f"{name} is not healthy: {said.strip()}\n{self._log(name)}")

    def _environment(self, name: str) -> dict[str, str]:
        given = self.services[name].get("environment", {})
        given = {key: self._filled(value) for key, value in given.items()}
        return {key: self._here(value) for key, value in given.items() if value and key != "TOLLGATE_DATA_DIR"}

    def _filled(self, value: str | None) -> str | None:
        """With `${NAME:?what is missing}` replaced, as Compose does."""
        return value and REQUIRED.sub(lambda found: self._settings[found["name"]], value)

    def _entrypoint(self, service: dict[str, Any]) -> list[str]:
        return list(service.get("entrypoint", self.image.entrypoint))

    def _here(self, text: str) -> str:
        """Addresses of the composed network as addresses of this machine."""
        names = "|".join(map(re.escape, self.services))
        text = re.sub(rf"//({names}):", "//127.0.0.1:", text)
        return re.sub(r"\b(?:6379|78\d\d|8000)\b", lambda found: self._ports[found[0]], text)

    def _log(self, name: str) -> str:
        return (self.logs / name).read_text()[-2000:]


def main() -> None:
    """Exits with 1 and the reason when something does not hold."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as folder:
        try:
            _check(Image(ROOT, Path(folder).resolve()), compose)
        except Failed as error:
            sys.exit(f"FAILED: {error}")


def _check(image: Image, compose: dict[str, Any]) -> None:
    image.build()
    if image.user.partition(":")[0] in {"0", "root"}:
        raise Failed("the image runs as root")
    size = sum(each.lstat().st_size for each in image.root.rglob("*"))
    print(f"built       {size / 1e6:.0f} MB on top of the base image; runs as {image.user}")
    _write_protect(image)
    before = _files(image)
    with contextlib.ExitStack() as stack:
        check = Check(image, compose)
        started = check.start_all(stack)
        check.run_a_job()
        check.stop_all(started)
    if changed := sorted(set(before.items()) ^ set(_files(image).items())):
        raise Failed(f"written outside /data and /tmp: {', '.join(name for name, _ in changed[:5])}")
    print("nothing was written outside /data and /tmp")


def _write_protect(image: Image) -> None:
    """As with `read_only: true`. For root's children, who own none of it, this is so already."""
    if os.geteuid():
        for each in [image.root, *image.root.rglob("*")]:
            if not each.is_symlink() and not each.is_relative_to(image.at("/data")):
                each.chmod(each.stat().st_mode & ~0o222)


def _files(image: Image) -> dict[str, tuple[int, int]]:
    found = (each for each in image.folder.rglob("*") if each.relative_to(image.folder).parts[0] in {"image", "home"})
    outside = (each for each in found if not each.is_relative_to(image.at("/data")))
    return {str(each): (each.lstat().st_mtime_ns, each.lstat().st_size) for each in outside}


def _free_ports(count: int) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        numbers = [str(each.getsockname()[1]) for each in sockets]
    yield from numbers


def _end(process: "subprocess.Popen[str]") -> None:
    with process:
        process.kill()


if __name__ == "__main__":
    main()
