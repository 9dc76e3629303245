"""The file that only grows: what a killed process or a full disk leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from localgcp.vertex.journal import Journal


def test_rows_come_back_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "folder" / "rows.jsonl")
    assert journal.read() == []
    journal.append([{"a": 1}, {"a": 0.1}])
    journal.append([])
    journal.append([{"a": "ü\n"}])
    assert Journal(tmp_path / "folder" / "rows.jsonl").read() == [{"a": 1}, {"a": 0.1}, {"a": "ü\n"}]
    journal.delete()
    journal.delete()
    assert journal.read() == []


def test_half_a_row_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2')
    journal = Journal(path)
    assert journal.read() == [{"a": 1}]
    journal.append([{"a": 3}])
    assert journal.read() == [{"a": 1}, {"a": 3}]


def test_a_broken_row_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\nx\n{"a":3}\n')
    with pytest.raises(RuntimeError, match=r"rows.jsonl, line 2: .*delete the line"):
        Journal(path).read()


def test_a_full_disk_leaves_no_part_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    journal = Journal(path)
    journal.append([{"a": 1}])
    opened = Path.open

    class Full:
        """A file that takes five bytes and then says that the disk is full."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 5

        def write(self, content: bytes) -> int:
            if not self.left:
                raise OSError(28, "No space left on device")
            written, self.left = content[: self.left], 0
            return int(self.file.write(written))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *args, **options: Full(opened(*args, **options)))
        with pytest.raises(OSError, match="No space left"):
            journal.append([{"a": 2}, {"a": 3}])
    assert path.read_bytes() == b'{"a":1}\n'
    journal.append([{"a": 4}])
    assert journal.read() == [{"a": 1}, {"a": 4}]
