"""Takes the pictures of the console in docs/images, of jobs on the sample: `make images`. Needs Chromium."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

import sample

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
TOLLGATE = Path(sys.executable).parent / "tollgate"
SIZE = {"width": 1200, "height": 760}
SMALL_USD = 0.0004  # which pays for a plan, and then a human is asked
OTHERS = ("Which products sold most in 2025?", "What was our revenue in 2025?")
WAIT_S = 60


def main() -> None:
    """Start everything, run a few jobs, take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [TOLLGATE, "serve", "--port", "0"]
        env = {"PATH": "/usr/bin:/bin"}
        program = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)  # noqa: S603
        try:
            assert program.stderr
            url = next(line for line in program.stderr if line.startswith("api: http")).removeprefix("api: ").strip()
            take(url)
        finally:
            program.terminate()
            program.communicate(timeout=WAIT_S)


def take(url: str) -> None:
    """The pictures of this deployment."""
    with httpx.Client(base_url=url, timeout=WAIT_S) as client:
        first = ended(client, sample.QUESTION)
        for asked in OTHERS:
            ended(client, asked)
        ended(client, sample.QUESTION, budget_usd=SMALL_USD)
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(f"{url}/console/login")
        page.screenshot(path=IMAGES / "login.png")
        for name in ("jobs", "inbox", "spend", "operations", "audit"):
            page.goto(f"{url}/console/{'' if name == 'jobs' else name}")
            shot(page, name)
        page.goto(f"{url}/console/jobs/{first}")
        for tab in ("Overview", "Calls", "Sequence", "Report"):
            page.get_by_role("tab", name=tab).click()
            shot(page, f"job-{tab.lower()}")
        browser.close()


def shot(page: Page, name: str) -> None:
    """The page as it looks when all of it is there."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2500)  # drawings have no sign of being ready
    page.screenshot(path=IMAGES / f"{name}.png")


def ended(client: httpx.Client, question: str, **fields: float) -> str:
    """Submit this, and wait until it has ended or waits for somebody; its id."""
    job = client.post("/v1/jobs", json={"question": question, **fields}).raise_for_status().json()["id"]
    until = time.monotonic() + WAIT_S
    while client.get(f"/v1/jobs/{job}").json()["status"] in {"queued", "running"}:
        assert time.monotonic() < until, f"{job} has not ended"
        time.sleep(1)
    return str(job)


if __name__ == "__main__":
    main()
