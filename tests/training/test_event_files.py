"""TensorBoard's event files, as they grow; ``tests/e2e/test_trackers.py`` has real writers."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import pytest

from experiments.training.local import event_files
from experiments.training.local.event_files import EventFiles, masked_crc
from experiments.training.local.growing_files import Scalar


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def part(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def record(event: bytes) -> bytes:
    head = struct.pack("<Q", len(event))
    return head + struct.pack("<I", masked_crc(head)) + event + b"\0\0\0\0"


def scalar(tag: str, step: int, value: float) -> bytes:
    """As TensorFlow 1 and PyTorch write it."""
    simple = part(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return record(b"\x09" + b"\0" * 8 + b"\x10" + varint(step) + part(5, part(1, simple)))


def tensor(tag: str, step: int, kind: int, rest: bytes) -> bytes:
    """As TensorFlow 2 writes it: type, an empty shape, then the number."""
    inside = b"\x08" + varint(kind) + part(2, b"") + rest
    value = part(1, tag.encode()) + part(9, b"") + part(8, inside)
    return record(b"\x10" + varint(step) + part(5, part(1, value)))


FIRST = record(part(3, b"brain.Event:2"))  # the version, which every file begins with


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def append(folder: Path, data: bytes, name: str = "events.out.tfevents.1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("ab") as file:
        file.write(data)
    return folder / name


def test_check_sums_are_those_of_tensorflow() -> None:
    assert masked_crc(b"") == 0xA282EAD8
    head = struct.pack("<Q", 24)  # of a file that TensorFlow wrote
    assert masked_crc(head) == 0x224B7FA3


@pytest.mark.parametrize(
    ("kind", "rest", "value"),
    [
        (1, part(4, struct.pack("<f", 0.5)), 0.5),
        (2, part(4, struct.pack("<d", 0.1)), 0.1),
        (3, part(4, struct.pack("<i", -3)), -3),
        (19, part(4, struct.pack("<e", 1.5)), 1.5),
        (1, part(5, struct.pack("<f", 2.5)), 2.5),  # packed
        (1, b"\x2d" + struct.pack("<f", 2.5), 2.5),  # not packed
        (9, part(10, varint(7)), 7),
        (1, part(4, struct.pack("<ff", 1, 2)), None),
        (7, part(8, b"text"), None),
    ],
)
def test_tensors_of_one_number_are_scalars(
    runs: Path, kind: int, rest: bytes, value: float | None
) -> None:
    files = EventFiles(str(runs))
    append(runs, FIRST + tensor("acc", -1, kind, rest))

    assert list(files.read("x")) == ([] if value is None else [Scalar("acc", -1, value)])


def test_each_counts_once_however_it_is_written(runs: Path) -> None:
    files = EventFiles(str(runs))
    data = FIRST + scalar("loss", 1, 0.5) + scalar("loss", 300, math.inf)
    found: list[Scalar] = []
    for byte in range(len(data)):
        append(runs, data[byte : byte + 1])
        found += files.read("loss")

    assert found == [Scalar("loss", 1, 0.5), Scalar("loss", 300, math.inf)]
    assert list(files.read("loss")) == []


def test_what_stood_there_is_another_trials_and_what_is_written_on_is_not(runs: Path) -> None:
    append(runs / "old", FIRST + scalar("loss", 1, 9))
    files = EventFiles(str(runs))
    append(runs / "old", scalar("loss", 2, 8))
    append(runs / "new", FIRST + scalar("loss", 1, 7))

    assert [found.value for found in files.read("loss")] == [7, 8]


def test_the_next_file_and_one_that_is_written_anew_are_read_from_their_start(runs: Path) -> None:
    files = EventFiles(str(runs))
    path = append(runs, FIRST + scalar("loss", 1, 1) + scalar("loss", 2, 2))
    assert len(list(files.read("loss"))) == 2
    append(runs, FIRST + scalar("loss", 3, 3), "events.out.tfevents.2")
    path.write_bytes(FIRST + scalar("loss", 1, 4))
    assert [found.value for found in files.read("loss")] == [4, 3]
    os.replace(append(runs, FIRST + scalar("loss", 5, 5), "tmp"), path)
    assert [found.value for found in files.read("loss")] == [5]


def test_a_directory_stands_before_a_tag_only_where_two_have_it(runs: Path) -> None:
    files = EventFiles(str(runs))
    for folder in ("train", "validation"):
        append(runs / folder, FIRST + scalar("epoch_loss", 1, 1))
    append(runs / "train", scalar("lr", 1, 1))

    tags = [found.tag for found in files.read("validation/epoch_loss")]
    assert tags == ["epoch_loss", "lr", "validation/epoch_loss"]


def test_what_is_no_event_file_ends_there_and_is_said(runs: Path) -> None:
    files = EventFiles(str(runs))
    append(runs, FIRST + scalar("loss", 1, 1) + b"no record of anybody" * 3)
    append(runs, record(b"\xff" * 9) + FIRST + scalar("acc", 1, 2), "events.out.tfevents.2")

    assert [found.tag for found in files.read("loss")] == ["loss", "acc"]
    assert "is no event file at byte" in files.describe()
    append(runs, scalar("loss", 2, 2))
    assert list(files.read("loss")) == []


def test_large_records_are_passed_over_and_a_look_is_bounded(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "RECORD_BYTES", 200)
    monkeypatch.setattr(event_files, "LOOK_BYTES", 1000)
    files = EventFiles(str(runs))
    append(runs, FIRST + record(part(5, b"\0" * 5000)) + scalar("loss", 1, 1) * 3)
    looks = [len(list(files.read("loss"))) for _ in range(3)]
    assert looks == [0, 3, 0]
