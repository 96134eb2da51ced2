"""A load that is killed goes on at the table where it was, and servers that load at once make the data once."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from mcp_servers.sales import own_data
from mcp_servers.sales.database import open_locked
from mcp_servers.sales.loading import Loader

load_table = Loader._load


def dies_at(doomed: str, data: Path, kept: Path) -> None:
    def load(self: Loader, own: object, found: object, name: str, scratch: Path) -> None:
        if name == doomed:
            os._exit(9)
        load_table(self, own, found, name, scratch)  # type: ignore[arg-type]

    Loader._load = load  # type: ignore[method-assign]  # in a process of its own
    own_data.load(data, kept)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.csv").write_text(f"v\n{ord(name)}\n")
    return folder


def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that are loaded from now on."""
    seen: list[str] = []

    def load(self: Loader, own: object, found: object, name: str, scratch: Path) -> None:
        seen.append(name)
        load_table(self, own, found, name, scratch)  # type: ignore[arg-type]

    monkeypatch.setattr(Loader, "_load", load)
    return seen


@pytest.mark.slow
def test_it_goes_on_at_the_table_where_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=dies_at, args=("c", data, tmp_path / "own"))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    seen = loads(monkeypatch)
    database, version = own_data.load(data, tmp_path / "own")
    assert seen == ["c"]
    with open_locked(database) as connection:
        assert connection.execute("SELECT a.v, b.v, c.v FROM a, b, c").fetchall() == [(97, 98, 99)]
    assert own_data.load(data, tmp_path / "elsewhere")[1] == version


def test_what_loads_at_once_is_loaded_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = loads(monkeypatch)
    threads = [threading.Thread(target=own_data.load, args=(data, tmp_path)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(seen) == ["a", "b", "c"]
    assert len(list((tmp_path / "sales").iterdir())) == 1
