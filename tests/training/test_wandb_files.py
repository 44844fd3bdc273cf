"""W&B's runs, as they grow; ``tests/e2e/test_trackers.py`` has the real client."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from experiments.mirrors import record_log
from experiments.mirrors.protobuf import part, text, whole
from experiments.training.local import wandb_files
from experiments.training.local.wandb_files import WandbFiles

FILE_HEAD = wandb_files.FILE_HEAD


def row(step: int, *, nested: bool = True, **values: Any) -> bytes:
    """A row of the history, as W&B's client writes it."""
    items = b"".join(
        part(1, text(2 if nested else 1, name) + text(16, json.dumps(value)))
        for name, value in values.items()
    )
    return part(2, items + part(2, whole(1, step)))


def file_of(folder: Path, run: str = "a1") -> Path:
    place = folder / "wandb" / f"offline-run-20260101_000000-{run}"
    place.mkdir(parents=True, exist_ok=True)
    return place / f"run-{run}.wandb"


def append(file: Path, *records: bytes) -> None:
    size = file.stat().st_size if file.exists() else 0
    record_log.append(file, FILE_HEAD, records, size)


def taken(runs: WandbFiles) -> list[tuple[str, int, float]]:
    return [tuple(found) for found in runs.read("loss")]


def test_rows_are_taken_once_as_they_come(tmp_path: Path) -> None:
    old = file_of(tmp_path, "old")
    append(old, row(0, loss=9.0))  # of another attempt
    runs = WandbFiles(str(tmp_path))
    file = file_of(tmp_path)
    append(file, part(17, text(1, "a1")), row(0, _step=0, loss=1.5, picture={"_type": "image"}))
    assert taken(runs) == [("loss", 0, 1.5)]
    assert taken(runs) == []
    append(file, row(7, nested=False, loss="NaN", val={"acc": 1, "name": "x"}, on=True))
    (nan, acc) = taken(runs)
    assert (nan[:2], math.isnan(nan[2]), acc) == (("loss", 7), True, ("val.acc", 7, 1.0))
    append(old, row(1, loss=2.0))  # it goes on, and another run has the name already
    assert taken(runs) == []
    assert "2 runs of W&B, 4 new numbers (loss, val.acc)" in runs.describe()


def test_a_record_that_is_not_whole_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, file = WandbFiles(str(tmp_path)), file_of(tmp_path)
    names = {f"n{number}": float(number) for number in range(3000)}  # more than a block
    append(file, row(1, loss=3.0), row(2, **names), row(3, loss=1.0))
    whole_file = file.read_bytes()
    found = []
    file.write_bytes(b"")
    for end in (3, 7, 9, 40, 32770, 40000, len(whole_file) - 1, len(whole_file)):
        with file.open("ab") as stream:
            stream.write(whole_file[file.stat().st_size : end])
        found += taken(runs)
    assert [each for each in found if each[0] == "loss"] == [("loss", 1, 3.0), ("loss", 3, 1.0)]
    assert len(found) == 3002
    monkeypatch.setattr(wandb_files, "RECORD_BYTES", 1000)
    monkeypatch.setattr(wandb_files, "LOOK_BYTES", 1000)
    again, looks = WandbFiles(str(tmp_path / "none")), []
    again.directory = str(tmp_path)
    while found := taken(again):
        looks += found
    while again.count < 2:  # a look that had nothing but what is passed over
        looks += taken(again)
    assert looks == [("loss", 1, 3.0), ("loss", 3, 1.0)]


@pytest.mark.parametrize("text", [b"\x00" * 40, b":W&B\xe1\xbe\x00" + b"x" * 40, b"{}" * 20])
def test_what_is_no_run_is_told_and_read_no_more(tmp_path: Path, text: bytes) -> None:
    runs = WandbFiles(str(tmp_path))
    file_of(tmp_path).write_bytes(text)
    assert taken(runs) == taken(runs) == []
    is_cut = text[:4] == b":W&B"  # the length of its record is beyond the file's end
    assert is_cut or "is no file of W&B's" in runs.describe()
    append(file_of(tmp_path, "b2"), b"\xff\xff\xff", part(2, b"\xff"), row(1, loss=2.0))
    assert taken(runs) == [("loss", 1, 2.0)]
