"""Runs jobs with `tollgate run`, as a person does, with a small language model on this machine."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings, variable
from app.running.processes import services
from evals.incident.runs import environment
from evals.real_model.checks import GRACE_S, Ended, Tokens

MODEL = "smollm2"
# Limits for a model that seldom finishes, on a machine without a GPU.
OWN: dict[str, Any] = {
    "model": MODEL,
    "supervisor_model": MODEL,
    "prices": {MODEL: {"input": 0.05, "cached": 0.005, "output": 0.4}},
    "answer_tokens": 300,
    "job_model_calls": 16,
    "agent_model_calls": 8,
    "call_timeout_s": 300,
    "agent_deadline_s": 600,
    "job_deadline_s": 900,
    "on_limit": "finish_partial",
}
LIMITS = Settings.model_construct(**OWN).limits
IDLE_S = 30  # within which a server notices that nobody waits for its answer


@dataclass(frozen=True)
class Deployment:
    """A model, the servers with the sample data, and a store.

    Attributes:
        url: the model server's address, without `/v1`.
        env: the environment for `tollgate` to use all of them.
        folder: an empty folder for the jobs' files.
    """

    url: str
    env: Mapping[str, str]
    folder: Path

    def ended(self, question: str) -> Ended:
        """Run a job for this question.

        Raises:
            TimeoutExpired: it does not end by itself.
            ValueError: it prints no document.
        """
        before, started = self._served(), time.monotonic()
        job = subprocess.run(
            [sys.executable, "-m", "app.cli", "run", question, "--json"],
            cwd=self.folder,  # no .env there
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMITS.deadline_s + GRACE_S,
            check=False,
        )
        seconds = time.monotonic() - started
        if not job.stdout:
            raise ValueError(f"no document, but: {job.stderr}")
        served = Tokens(*(now - then for now, then in zip(self._served(), before, strict=True)))
        return Ended(question, LIMITS, job.returncode, json.loads(job.stdout), job.stderr, seconds, served)

    def _served(self) -> Tokens:
        """The server's own count so far, once it is idle."""
        until = time.monotonic() + IDLE_S
        while (counts := self._metrics())["requests_processing"] and time.monotonic() < until:
            time.sleep(0.2)
        cached = counts["prompt_tokens_cached_total"]
        return Tokens(counts["prompt_tokens_total"] + cached, cached, counts["tokens_predicted_total"])

    def _metrics(self) -> dict[str, int]:
        text = httpx.get(f"{self.url}/metrics", timeout=IDLE_S).raise_for_status().text
        samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
        return {each.name.removeprefix("llamacpp:"): int(each.value) for each in samples}


@contextlib.contextmanager
def deployed(seed: int, folder: Path) -> Iterator[Deployment]:
    """Everything that a job needs, with a model that samples with this seed, until the block ends."""
    with _model(seed, folder) as url:
        here: dict[str, Any] = {"data_dir": folder, "openai_base_url": f"{url}/v1", **WITHOUT_OPTIONAL}
        with services(Settings.model_construct(**OWN, **here)) as (redis_url, addresses):
            own = {variable(name): each if isinstance(each, str) else json.dumps(each) for name, each in OWN.items()}
            own |= {"OPENAI_BASE_URL": addresses.model, "REDIS_URL": redis_url}
            yield Deployment(url, environment("", addresses.servers, folder) | own, folder)


@contextlib.contextmanager
def _model(seed: int, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "evals.real_model.server", str(seed)]
    log = folder / "model.log"
    with (
        log.open("wb") as said,
        # Closing its stdin at the end of the block ends it.
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout
        if not (url := process.stdout.readline().strip()):
            raise RuntimeError(f"the model did not start: {log.read_text(errors='replace')}")
        yield url
