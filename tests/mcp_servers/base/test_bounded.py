"""The process that may be asked for anything: its bounds, what it knows of us, and that it leaves with its owner."""

import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.base.bounded import Bounded, Died
from tests.mcp_servers.waiting import PATIENCE_S, soon

MODULE = "tests.mcp_servers.bounded_program"


def test_one_process_answers_one_after_the_other() -> None:
    bounded = Bounded(MODULE)
    assert bounded.ask({})["pid"] == bounded.ask({})["pid"] != os.getpid()


def test_it_knows_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "s3cret")
    assert "A_SECRET" not in Bounded(MODULE).ask({})["environment"]


def test_too_long_a_request_ends_it_and_the_next_one_finds_another() -> None:
    bounded = Bounded(MODULE)
    before = bounded.ask({})["pid"]
    with pytest.raises(Died) as end:
        bounded.ask({"forever": True})
    assert end.value.out_of_time
    assert bounded.ask({})["pid"] != before


def test_it_gets_no_more_memory_than_its_share() -> None:
    bounded = Bounded(MODULE)
    assert bounded.ask({"bytes": 100 * 1024 * 1024})["held"] == 100 * 1024 * 1024
    assert bounded.ask({"bytes": 300 * 1024 * 1024}) == {"too_much": True}


def test_a_process_that_was_killed_is_told_and_replaced() -> None:
    bounded = Bounded(MODULE)
    os.kill(bounded.ask({})["pid"], 9)
    with pytest.raises(Died) as end:
        bounded.ask({})
    assert (end.value.code, end.value.out_of_time) == (-9, False)
    assert bounded.ask({})["held"] == 0


def test_it_inherits_the_files_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("word")
    file = os.open(tmp_path / "note", os.O_RDONLY)
    try:
        assert Bounded(MODULE, files=[file]).ask({"file": file})["read"] == "word"
    finally:
        os.close(file)


def test_it_ends_with_its_owner() -> None:
    bounded = Bounded(MODULE)
    pid = bounded.ask({})["pid"]
    del bounded
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()


def test_it_may_be_asked_from_several_threads() -> None:
    bounded = Bounded(MODULE)
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(bounded.ask({}))) for _ in range(8)]
    for each in threads:
        each.start()
    soon(lambda: len(answers), lambda count: count == len(threads), "all answers")
    for each in threads:
        each.join(PATIENCE_S)
    assert len({answer["pid"] for answer in answers}) == 1
