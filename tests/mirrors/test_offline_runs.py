"""Mirrors that are files: W&B's and SwanLab's offline runs, Trackio's inbox. Everything once.

``tests/e2e/test_trackers.py`` has what the real ones say to them.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from experiments.mirrors.record_log import BLOCK, append
from experiments.mirrors.wandb import FILE_HEAD
from experiments.models import Experiment, Mirror, Trial
from experiments.states import Phase, TrialState
from tests.mirrors.test_mirrors import report, send

Fields = dict[int, list[Any]]


@pytest.fixture
def trial(make_experiment: Callable[..., Experiment], make_trial: Any) -> Trial:
    experiment = make_experiment({"metrics": {"objective": "loss"}}, phase=Phase.RUNNING)
    parameters = {"lr": 0.1, "net": {"_name": "a", "n": 3}}
    return make_trial(experiment, state=TrialState.RUNNING, parameters=parameters)


def read(file: Path) -> Iterator[bytes]:
    """Records of a log in LevelDB's format, whose every checksum must hold."""
    data, place, record = file.read_bytes(), 7, b""
    while place < len(data):
        room = BLOCK - place % BLOCK
        if room < 7:
            assert data[place : place + room] == bytes(room)
            place += room
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, place)
        assert length <= room - 7
        piece = data[place + 7 : place + 7 + length]
        assert zlib.crc32(bytes([kind]) + piece) == checksum
        place += 7 + length
        record = record + piece if kind in (3, 4) else piece
        if kind in (1, 4):
            yield record


def fields(message: bytes) -> Fields:
    """What stands in a message of Protocol Buffers."""
    found: Fields = {}
    place = 0

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while place < len(message):
        key = varint()
        value: Any
        if key & 7 == 0:
            value = varint()
        else:
            size = 8 if key & 7 == 1 else varint()
            value = message[place : place + size]
            place += size
        found.setdefault(key >> 3, []).append(value)
    return found


def items(record: bytes, field: int = 1) -> dict[str, Any]:
    """Names and values as W&B keeps them."""
    pairs = [fields(item) for item in fields(record).get(field, [])]
    return {pair[2][0].decode(): json.loads(pair[16][0]) for pair in pairs}


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_wandb_run_grows_with_its_trial(trial: Trial, settings: Any, tmp_path: Path) -> None:
    settings.MIRROR_WANDB = str(tmp_path)
    report(trial, 0, 3.0)
    send()
    report(trial, 1, math.nan)
    report(trial, 0, 2.0, "FINAL")
    trial.refresh_from_db()
    trial.move(TrialState.FAILED, finished_at=timezone.now())
    send()

    (file,) = tmp_path.glob(f"offline-run-*-{trial.key}-1/run-{trial.key}-1.wandb")
    records = [fields(record) for record in read(file)]
    (run,) = [fields(record[17][0]) for record in records if 17 in record]
    assert run[1] == [f"{trial.key}-1".encode()]
    assert items(run[4][0]) == trial.parameters
    rows = [record[2][0] for record in records if 2 in record]
    values = [items(row) for row in rows]
    assert [(v["_step"], v["step"], v.get("loss"), v.get("final/loss")) for v in values] == [
        (0, 0, 3.0, None),
        (1, 10, "NaN", None),
        (2, 0, None, 2.0),
    ]
    assert values[0]["acc/top 1?"] == 0.0
    summaries = [items(record[3][0]) for record in records if 3 in record]
    assert summaries[-1]["final/loss"] == 2.0
    (ended,) = [fields(record[18][0]) for record in records if 18 in record]
    assert ended[1] == [1]


def test_a_swanlab_run_grows_with_its_trial(trial: Trial, settings: Any, tmp_path: Path) -> None:
    settings.MIRROR_SWANLAB = str(tmp_path)
    report(trial, 0, 3.0)
    send()
    report(trial, 1, math.inf)
    trial.refresh_from_db()
    trial.move(TrialState.SUCCEEDED, finished_at=timezone.now())
    send()

    (file,) = tmp_path.glob(f"run-*-{trial.key}-1/run-{trial.key}-1.swanlab")
    records = [fields(record) for record in read(file)]
    assert fields(records[0][10][0])[10] == [f"{trial.key}-1".encode()]
    scalars = [fields(record[13][0]) for record in records if 13 in record]
    found = {
        (s[1][0].decode(), s[2][0], struct.unpack("<d", fields(s[5][0])[1][0])[0]) for s in scalars
    }
    assert ("loss", 0, 3.0) in found
    assert ("loss", 10, math.inf) in found
    assert fields(records[-1][11][0])[1] == [1]
    kept = json.loads((file.parent / "files" / "config.yaml").read_text())
    assert kept["lr"]["value"] == 0.1


def test_trackio_is_told_each_report_by_its_id(trial: Trial, settings: Any, tmp_path: Path) -> None:
    settings.MIRROR_TRACKIO = str(tmp_path)
    report(trial, 0, 3.0)
    send()
    report(trial, 1, -math.inf)
    send()

    files = sorted((tmp_path / "inbox").glob("*/*.jsonl"))
    first, second = (json.loads(file.read_text()) for file in files)
    assert first["project"] == f"{trial.experiment.name}-{trial.experiment_id}"
    assert (first["metrics"], first["step"]) == ({"loss": 3.0, "acc/top 1?": 0.0}, 0)
    assert (second["metrics"]["loss"], second["step"]) == ("-Infinity", 10)
    assert first["run_id"] == second["run_id"] == f"{trial.key}.1"
    assert first["log_id"] != second["log_id"]
    assert second["config"]["lr"] == 0.1
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("name", ["MIRROR_WANDB", "MIRROR_SWANLAB", "MIRROR_TRACKIO"])
def test_what_nobody_could_keep_is_written_once(
    trial: Trial, settings: Any, tmp_path: Path, name: str
) -> None:
    setattr(settings, name, str(tmp_path / "there"))
    report(trial, 0, 3.0)
    send()
    before = Mirror.objects.values().get()
    report(trial, 1, 4.0)
    send()
    expected = all_files(tmp_path / "there")
    Mirror.objects.update(cursor=before["cursor"], state=before["state"])
    send()
    assert all_files(tmp_path / "there") == expected
    Mirror.objects.update(cursor=before["cursor"], state=before["state"])
    (tmp_path / "file").write_text("")
    setattr(settings, name, str(tmp_path / "file" / "there"))
    assert send().error.endswith(": Not a directory.")


def test_long_records_are_cut_into_blocks(tmp_path: Path) -> None:
    file = tmp_path / "log"
    sizes = [BLOCK - 7 - 7 - 7 - 3, 0, 70_000, BLOCK - 7, 5]  # with a rest too short for a piece
    records = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
    length = append(file, FILE_HEAD, records[:2], 0)
    append(file, FILE_HEAD, [b"nobody kept it"], length)
    assert append(file, FILE_HEAD, records[2:], length) == file.stat().st_size
    assert list(read(file)) == records
