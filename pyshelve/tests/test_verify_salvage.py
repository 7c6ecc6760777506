"""Whether a file is whole, and what can be saved when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import rshelve


def _fill(path: str, count: int = 2000) -> None:
    with rshelve.open(path) as shelf:
        for number in range(count):
            shelf[f"key-{number:05}"] = "value" * 20


def _damage(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    # More than the padding behind a block.
    for at in range(len(data) // 2, len(data) // 2 + 520):
        data[at] ^= 1
    Path(path).write_bytes(data)


def test_verify_finds_a_whole_file_clean(path: str) -> None:
    _fill(path)
    calls: list[tuple[object, ...]] = []
    report = rshelve.verify(path, lambda *state: calls.append(state))
    assert report and report.problems == () and report.unreached_bytes == 0
    assert [(table.name, table.rows) for table in report.tables] == [("main", 2000)]
    assert calls and calls[-1][0] == "main"
    assert os.listdir(os.path.dirname(path)) == ["spam"], "nothing is left beside it"


def test_verify_of_an_open_shelf_looks_at_all_that_was_stored(path: str) -> None:
    with rshelve.open(path, writeback=True) as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
        shelf["long"] = "x" * 100_000
        report = shelf.verify()
        assert report and report.tables[0].rows == 2 and report.tables[0].long_values == 1
        assert rshelve.verify(path), "beside the shelf"
    with rshelve.open(path, "r") as shelf:
        assert shelf.verify()
    with pytest.raises(ValueError):
        shelf.verify()


def test_verify_names_what_is_damaged_and_salvage_saves_the_rest(path: str, tmp_path: Path) -> None:
    _fill(path)
    _damage(path)
    report = rshelve.verify(path)
    assert not report and "checksum" in report.problems[0] and path in report.problems[0]
    new = str(tmp_path / "new")
    saved = rshelve.salvage(path, new)
    assert not saved and saved.tables[0].rows_lost > 0
    (table,) = saved.tables
    assert table.rows + table.rows_lost == table.rows_expected == 2000
    low, high = table.lost_ranges[0]
    with rshelve.open(new) as shelf:
        assert len(shelf) == table.rows
        missing = {f"key-{number:05}" for number in range(2000)} - set(shelf)
    assert all(low <= key.encode() and (high is None or key.encode() < high) for key in missing)
    assert rshelve.verify(new)
    with pytest.raises(rshelve.error, match="exists"):
        rshelve.salvage(path, new)


def test_what_progress_raises_ends_the_work(path: str) -> None:
    _fill(path)

    class Enough(Exception):
        pass

    def enough(*_state: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        rshelve.verify(path, enough)


def test_what_is_no_database_is_refused(path: str, tmp_path: Path) -> None:
    Path(path).write_text("eggs")
    with pytest.raises(rshelve.error, match="looks like text"):
        rshelve.verify(path)
    with pytest.raises(rshelve.error, match="looks like text"):
        rshelve.salvage(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(OSError):
        rshelve.verify(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_command_line(path: str, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "rshelve", *words], capture_output=True, text=True)

    _fill(path)
    clean = run("verify", path)
    assert clean.returncode == 0 and "2000 rows" in clean.stdout
    _damage(path)
    assert run("verify", path).returncode == 1
    saved = run("salvage", path, str(tmp_path / "new"))
    assert saved.returncode == 1 and "lost" in saved.stdout
    assert run("verify", str(tmp_path / "missing")).returncode == 2
    assert run("frobnicate").returncode == 2
