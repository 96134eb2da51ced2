"""Jobs over HTTP from the command line: real API, real worker, `tollgate` as a person types it, in another folder."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pypdf import PdfReader

from app.running.processes import Addresses
from tests.app.api.programs import Replica, replica
from tests.app.command_line import answered, seen, started, tollgate
from tests.app.queued import LONG, QUESTION, Deployment, deployment, stopped

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another machine: a folder that has nothing of the deployment."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path: Path, addresses: Addresses) -> Iterator[Deployment]:
    (tmp_path / "here").mkdir()
    with deployment(tmp_path / "here", servers=addresses.servers) as found:
        yield found


@pytest.fixture
def api(here: Deployment) -> Iterator[Replica]:
    """The API without a worker: a job stays queued."""
    with replica(here) as found:
        yield found


def said(ended: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error."""
    assert ended.returncode == code, ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return line


def test_the_life_of_a_job(here: Deployment, api: Replica, elsewhere: Path) -> None:
    at = {"TOLLGATE_URL": api.url}
    with here.worker():
        ordered = tollgate(elsewhere, "submit", QUESTION, "--metadata", "team=sales", "--metadata", "x=a=b", **at)
        assert ordered.returncode == 0, ordered.stderr
        (job,) = ordered.stdout.splitlines()
        watched = tollgate(elsewhere, "watch", job, **at)
        assert watched.returncode == 0, watched.stderr
        assert "supervisor  plans 1 task" in watched.stdout
        assert "status       completed" in watched.stdout
    report = tollgate(elsewhere, "report", job, **at)
    assert report.stdout.startswith("# ")
    assert QUESTION in report.stdout
    assert tollgate(elsewhere, "report", job, "--format", "html", "-o", "report.html", **at).returncode == 0
    assert "<html" in (elsewhere / "report.html").read_text()
    assert tollgate(elsewhere, "report", job, "--format", "pdf", "-o", "report.pdf", **at).returncode == 0
    assert QUESTION in " ".join(PdfReader(elsewhere / "report.pdf").pages[0].extract_text().split())
    document = json.loads(tollgate(elsewhere, "report", job, "--format", "json", **at).stdout)
    assert document["report"] == report.stdout
    code, status = answered(elsewhere, "status", job, **at)
    assert (code, status["status"], status["metadata"]) == (0, "completed", {"team": "sales", "x": "a=b"})
    behaviour = status["behaviour_version"]
    line = f"{job}  completed       {behaviour}  {QUESTION}\n"
    assert tollgate(elsewhere, "list", "--status", "completed", "--behaviour", behaviour, **at).stdout == line
    assert tollgate(elsewhere, "list", "--status", "queued", **at).stdout == ""
    _, spent = answered(elsewhere, "spend", "--tenant", "local", **at)
    _, spent_here = answered(here.folder, "spend", REDIS_URL=here.redis_url)
    assert spent["tenant"] | {"projection": None} == spent_here["tenant"] | {"projection": None}
    assert [each["id"] for each in spent["tenant"]["jobs"]] == [job]
    assert spent["deployment"]["spent_usd"] == status["cost_usd"]
    shown = tollgate(elsewhere, "spend", **at).stdout
    assert f"tenant local on {spent['day']}: ${status['cost_usd']} of $5.00 spent" in shown
    assert f"{job}  ${status['cost_usd']}" in shown
    kept = {each.name for each in elsewhere.iterdir()}
    assert kept == {"report.html", "report.pdf"}, "nothing of a job is kept here"


def test_a_question_is_answered_from_another_machine(here: Deployment, api: Replica, elsewhere: Path) -> None:
    with here.worker():
        order = ["submit", QUESTION, "--budget-usd", "0.002", "--wait", "--url", api.url]
        code, waiting = answered(elsewhere, *order)
        assert (code, waiting["status"]) == (4, "awaiting_human")
        shown = tollgate(elsewhere, "status", waiting["id"], "--url", api.url)
        assert shown.returncode == 4
        assert " of $0.002\n" in shown.stdout
        assert f"decide {waiting['id']} --action finish_partial --url {api.url}" in shown.stdout
        answer = ["decide", waiting["id"], "--action", "approve_more", "--amount-usd", "0.2", "--url", api.url]
        decided = tollgate(elsewhere, *answer)
        assert decided.returncode == 0, decided.stderr
        assert "stop reason  answered" in decided.stdout
        assert decided.stderr.startswith("      human  decides: approve_more\n"), "what was before is not shown again"
        assert "of $0.202" in decided.stdout
    assert "waits for no decision" in said(tollgate(elsewhere, *answer), 2)
    whole = tollgate(elsewhere, "watch", waiting["id"], "--url", api.url)
    assert whole.returncode == 0
    assert "human  decides: approve_more" in whole.stdout
    assert list(elsewhere.iterdir()) == []


def test_a_finished_partial_job_exits_as_run_does(here: Deployment, api: Replica, elsewhere: Path) -> None:
    with here.worker():
        at = {"TOLLGATE_URL": api.url}
        limits = ["--budget-usd", "0.00001", "--on-limit", "finish_partial"]
        code, job = answered(elsewhere, "submit", QUESTION, *limits, "--wait", **at)
        assert (code, job["status"]) == (3, "partial")
        assert tollgate(elsewhere, "watch", job["id"], **at).returncode == 3
        assert tollgate(elsewhere, "status", job["id"], **at).returncode == 3


def test_a_job_is_cancelled(here: Deployment, api: Replica, elsewhere: Path) -> None:
    at = {"TOLLGATE_URL": api.url}
    job = tollgate(elsewhere, "submit", QUESTION, **at).stdout.strip()
    assert tollgate(elsewhere, "status", job, **at).returncode == 0, "it is queued"
    assert tollgate(elsewhere, "cancel", job, **at).stdout == f"{job} stops at its next step\n"
    assert "told to stop" in tollgate(elsewhere, "status", job, **at).stdout
    assert "no report" in said(tollgate(elsewhere, "report", job, **at), 2)
    with here.worker():
        assert tollgate(elsewhere, "watch", job, **at).returncode == 1
    assert "has already ended" in said(tollgate(elsewhere, "cancel", job, **at), 2)


def test_a_server_that_restarts_while_a_job_is_watched(tmp_path: Path, addresses: Addresses, elsewhere: Path) -> None:
    # A slow model, so that there is something to miss.
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(deployment(tmp_path, servers=addresses.servers, latency_ms=500))
        stack.enter_context(here.worker())
        first = stack.enter_context(replica(here))
        job = tollgate(elsewhere, "submit", LONG, TOLLGATE_URL=first.url).stdout.strip()
        watching = stack.enter_context(started(elsewhere, "watch", job, "--url", first.url))
        got = [watching.stdout.readline()]
        assert "plans" in got[0]
        assert stopped(first.process) == 0
        second = stack.enter_context(replica(here, urlsplit(first.url).port or 0))
        got += list(watching.stdout)
        assert watching.wait() == 0
        whole = tollgate(elsewhere, "watch", job, "--url", second.url).stdout
    assert "".join(got) == whole
    assert "job  completed" in whole


def test_an_order_waits_for_a_server_that_is_away(here: Deployment, elsewhere: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with started(elsewhere, "submit", QUESTION, "--url", url) as ordering:
        (warned,) = seen(ordering, lambda _: True)
        assert "retrying" in warned
        with replica(here, port):
            assert ordering.wait(60) == 0
            job = ordering.stdout.read().strip()
            listed = tollgate(elsewhere, "list", TOLLGATE_URL=url).stdout
            assert listed.split()[:2] == [job, "queued"]
            assert listed.endswith(f"  {QUESTION}\n")


def test_one_key_is_one_job(api: Replica, elsewhere: Path) -> None:
    at = {"TOLLGATE_URL": api.url}
    jobs = {tollgate(elsewhere, "submit", QUESTION, "--idempotency-key", "monday", **at).stdout for _ in range(2)}
    assert len(jobs) == 1
    other = tollgate(elsewhere, "submit", LONG, "--idempotency-key", "monday", **at)
    assert "another request" in said(other, 2) or "Idempotency-Key" in said(other, 2)


def test_without_an_address_watch_and_decide_are_local(api: Replica, elsewhere: Path, beside: dict[str, str]) -> None:
    job = tollgate(elsewhere, "submit", QUESTION, TOLLGATE_URL=api.url).stdout.strip()
    assert f"there is no job {job}" in said(tollgate(elsewhere, "watch", job), 2)
    assert f"there is no job {job}" in said(tollgate(elsewhere, "decide", job, "--action", "abort", **beside), 2)


def test_whoever_may_not_is_told_what_to_do(here: Deployment, api: Replica, elsewhere: Path) -> None:
    redis = {"REDIS_URL": here.redis_url}
    made = tollgate(elsewhere, "keys", "create", "--tenant", "acme", "--scope", "read", **redis)
    key = made.stdout.strip()
    at = {"TOLLGATE_URL": api.url}
    none = tollgate(elsewhere, "list", **at)
    wrong = tollgate(elsewhere, "list", **at, TOLLGATE_API_KEY=f"{key[:-1]}{'b' if key[-1] == 'a' else 'a'}")
    for each in (none, wrong):
        assert "set TOLLGATE_API_KEY to a valid key" in said(each, 2)
    assert tollgate(elsewhere, "list", **at, TOLLGATE_API_KEY=key).returncode == 0
    refused = said(tollgate(elsewhere, "submit", QUESTION, **at, TOLLGATE_API_KEY=key), 2)
    assert "the scope submit; set TOLLGATE_API_KEY to a key that has it" in refused
    unknown = tollgate(elsewhere, "watch", "job-20260101-000000-0a1b2c3d4e", **at, TOLLGATE_API_KEY=key)
    assert "`tollgate list` shows yours" in said(unknown, 2)
    assert key not in said(tollgate(elsewhere, "list", **at, TOLLGATE_API_KEY=f"{key}\u00e9"), 2)
    assert tollgate(elsewhere, "list", "--api-key", key, **at).returncode == 2, "others could read it in ps"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["submit", QUESTION, "--metadata", "team"], "--metadata must be name=value"),
        (["submit", QUESTION, "--metadata", "a=1", "--metadata", "a=2"], "each name once"),
        (["submit", QUESTION, "--idempotency-key", "one two"], "--idempotency-key must be"),
        (["list", "--url", "localhost:8000"], "--url is not an address"),
        (["list", "--url", "http://user:pass@127.0.0.1"], "the key goes into TOLLGATE_API_KEY"),
    ],
)
def test_bad_input_is_one_line(elsewhere: Path, arguments: list[str], told: str) -> None:
    assert told in said(tollgate(elsewhere, *arguments), 2)
