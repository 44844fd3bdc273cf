"""What is found in printed lines and growing files, and what is bounded."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from experiments.training.local import metric_lines
from experiments.training.local.metric_lines import LINE_BYTES, Curve, Lines, Reader, Tail


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("loss=0.5", {"loss": 0.5}),
        ("epoch 1: loss = 5e-1, val-acc=.9 lr=1E-5", {"loss": 0.5, "val-acc": 0.9, "lr": 1e-5}),
        ("\x1b[32mepoch/val_loss=-3.\x1b[0m", {"epoch/val_loss": -3.0}),
        ("loss=inf", {"loss": math.inf}),
        ("time=3s loss=abc a==1 x.y=1 1a=2", {"x.y": 1.0}),
        ('{"loss": "0.25", "step": 3, "name": "x", "ok": true}', {"loss": 0.25, "step": 3.0}),
        ('{"loss": 0.25', {}),
        ("[" * 90_000 + "loss=1", {"loss": 1.0}),
        ("{" * 40_000 + "}" * 40_000, {}),
        ("loss: 0.5", {}),
        ("", {}),
    ],
)
def test_lines_of_names_and_values_and_of_json(line: str, found: dict[str, float]) -> None:
    assert Reader("", "loss").metrics(line) == found


def test_w_and_b_s_summary_is_kept_for_want_of_anything_better() -> None:
    reader = Reader("", "val/loss")
    assert reader.metrics("wandb: val/loss █▃▁") == {}
    assert reader.metrics("\x1b[34mwandb\x1b[0m:    val/loss 0.11111") == {}
    assert reader.summary == {"val/loss": 0.11111}
    assert reader.metrics("val/loss=0.111113") == {"val/loss": 0.111113}


def test_nan_is_kept() -> None:
    assert math.isnan(Reader("", "loss").metrics("loss=nan")["loss"])


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        (r"{metricName: ([\w|-]+), metricValue: ((-?\d+)(\.\d+)?)}",
         "{metricName: accuracy, metricValue: 0.93} {metricName: loss, metricValue: 2}",
         {"accuracy": 0.93, "loss": 2.0}),
        (r"(?P<value>[\d.]+)% of (?P<name>\w+)", "93.5% of top1", {"top1": 93.5}),
        (r"BLEU: ([\d.]+)", "BLEU: 31.5", {"loss": 31.5}),
        (r"BLEU: (\w+)", "BLEU: x", {}),
    ],
)  # fmt: skip
def test_a_pattern_of_one_s_own(pattern: str, line: str, found: dict[str, float]) -> None:
    assert Reader(pattern, "loss").metrics(line) == found


def test_a_pattern_that_explodes_is_stopped_and_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(metric_lines, "PATTERN_S", 0.05)
    reader = Reader(r"loss=(a+)+$", "loss")
    begun = time.monotonic()
    for _ in range(50):
        assert reader.metrics("loss=" + "a" * 60 + "!") == {}
    assert time.monotonic() - begun < 3


def test_lines_are_cut_and_counted_however_they_come() -> None:
    lines = Lines()
    text = b"a=1\rb=2\r\n\nc=" + b"x" * (3 * LINE_BYTES) + b"\nd=\xff4\ne=5"
    found = [line for i in range(0, len(text), 1000) for line in lines.feed(text[i : i + 1000])]
    found += lines.end()
    assert [line[:3] for line in found] == ["a=1", "b=2", "c=x", "d=\ufffd", "e=5"]
    assert len(found[2]) == LINE_BYTES
    assert lines.count == 5


def reports(*found: dict[str, float], objective: str = "loss") -> list[tuple[Any, ...]]:
    sent: list[tuple[Any, ...]] = []
    curve = Curve(objective, lambda *report: sent.append(report))
    for each in found:
        curve.take(each)
    curve.finish()
    return sent


def test_each_value_of_the_objective_is_one_report_with_what_stands_around_it() -> None:
    assert reports(
        {"acc": 0.1}, {"loss": 3}, {"f1": 0.2}, {"acc": 0.3}, {"loss": 2, "epoch": 7}
    ) == [
        ("PERIODICAL", 0, 0, {"default": 3, "acc": 0.1, "f1": 0.2}),
        ("PERIODICAL", 1, 7, {"default": 2, "acc": 0.3}),
        ("FINAL", 0, 0, {"default": 2, "acc": 0.3, "f1": 0.2}),
    ]
    assert reports({"acc": 1}) == []
    assert reports({"epoch": 4}, objective="epoch")[0] == ("PERIODICAL", 0, 4, 4)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while File.made:
        File.made.pop().close()


class File:
    """A file that grows under a tail."""

    made: ClassVar[list[Tail]] = []

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = Tail(str(path), Reader("", "loss"))
        self.made.append(self.tail)

    def add(self, text: str) -> list[Any]:
        with self.path.open("a") as file:
            file.write(text)
        return self.new()

    def new(self) -> list[Any]:
        return [row.get("loss") for row in self.tail.read()]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize(
    ("name", "text"),
    [("m.csv", "loss\n1\n"), ("m.json", '{"loss": 1}'), ("m.log", "loss=1\n")],
)
def test_a_pipe_or_a_device_is_never_waited_for(
    make: Any, name: str, text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    make(path)
    tail = Tail(str(path), Reader("", "loss"))
    assert [*tail.read(), *tail.read(), *tail.end()] == []
    assert tail.describe() == f"{path} is no regular file"
    assert capfd.readouterr().out.count("is no regular file, so it is not read") == 1
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    path.write_text(text)
    assert [found["loss"] for found in [*tail.read(), *tail.end()]] == [1], "once it is a file"
    tail.close()


def test_lines_of_a_file_come_once_through_rotation_and_truncation(tmp_path: Path) -> None:
    file = File(tmp_path / "train.log")
    assert file.new() == []  # not there yet
    assert file.add("loss=1\nloss=") == [1]
    assert file.add("2\n") == [2]
    with file.path.open("a") as old:  # moved away while it is still written to
        file.path.rename(tmp_path / "train.log.1")
        old.write("loss=3\nlo")
        old.flush()
        assert file.new() == [3]
        old.write("ss=4")
    assert file.add("loss=5\n") == [4, 5]
    file.path.write_text("loss=6\n")  # cut off and written anew, shorter than before
    assert file.new() == [6]
    assert file.new() == []


def test_what_stood_in_a_file_before_is_another_trial_s(tmp_path: Path) -> None:
    for name, old, new in (
        ("a.log", "loss=1\n", "loss=2\n"),
        ("a.csv", "epoch,loss\n1,1\n", "2,2\n"),
        ("a.jsonl", '{"loss": 1}\n', '{"loss": 2}\n'),
    ):
        (tmp_path / name).write_text(old)
        file = File(tmp_path / name)
        assert (file.new(), file.add(new)) == ([], [2])


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one.json", '{\n"loss": 3}', '{\n"loss": 2}'),
        ("rows.json", '[{"loss": 3}, {"loss": 3}]', '[{"loss": 3}, {"loss": 2}]'),
        ("fewer.json", '[{"loss": 3}, {"loss": 1}]', '[{"loss": 2}]'),
        ("keras.json", '{"loss": [3, 2]}', '{"loss": [2, 1]}'),
        ("nan.json", '[{"loss": NaN}, {"loss": 1}]', '[{"loss": 2}, {"loss": 1}]'),
    ],
)
def test_a_document_that_another_trial_left_and_this_one_writes_anew_is_its_own(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    (tmp_path / name).write_text(old)
    file = File(tmp_path / name)
    assert file.new() == []
    file.path.write_text(new)
    rows = json.loads(new)
    losses = rows["loss"] if isinstance(rows, dict) else [row["loss"] for row in rows]
    assert file.new() == (losses if isinstance(losses, list) else [losses])
    assert file.new() == []


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.jsonl", "a.log"])
def test_the_same_values_as_another_trial_s_are_a_result_too(tmp_path: Path, name: str) -> None:
    text = {"a.json": '[{"loss": 2}]', "a.csv": "loss\n2\n", "a.jsonl": '{"loss": 2}\n'}
    path = tmp_path / name
    for is_written in (True, False):
        path.write_text(text.get(name, "loss=2\n"))
        os.utime(path, (1, 1))
        file = File(path)
        assert file.new() == []
        if is_written:
            path.write_text(text.get(name, "loss=2\n"))
        assert [row["loss"] for row in file.tail.end()] == ([2] if is_written else [])


def test_a_document_of_one_value_tells_each_that_it_held(tmp_path: Path) -> None:
    file = File(tmp_path / "metrics.json")
    for epoch, loss in enumerate((3, 2, 2, math.nan)):
        file.path.write_text(json.dumps({"epoch": epoch, "loss": loss}, indent=1))
        os.utime(file.path, (epoch, epoch))
        assert str(file.new()) == str([float(loss)])
    os.utime(file.path, (9, 9))
    assert file.new() == [], "the same once more is nothing new"


def test_csv_is_read_by_its_header(tmp_path: Path) -> None:
    file = File(tmp_path / "log.csv")
    assert file.add('epoch,"loss", note\n0,') == []
    assert file.add('3,"a, b"\n1,2,c\n') == [3, 2]
    assert file.add("epoch,loss,note\n2,1,d\n,,\n") == [1, None][:1]
    assert "3 rows with numbers, columns epoch, loss, note" in file.tail.describe()


def test_json_lines_and_documents_that_are_written_anew(tmp_path: Path) -> None:
    lines = File(tmp_path / "katib.json")
    assert lines.add('{"epoch": 0, "loss": "0.5"}\n{"lo') == [0.5]
    assert lines.add('ss": 0.25}\n') == [0.25]
    document = File(tmp_path / "history.json")
    rows: list[dict[str, float]] = []
    for value in (3.0, 2.0):
        rows.append({"loss": value})
        document.path.write_text(json.dumps(rows, indent=1))
        assert document.new() == [value]
    document.path.write_text("[{")  # half of it: the next look has it
    assert document.new() == []
    keras = File(tmp_path / "keras.json")
    keras.path.write_text(json.dumps({"loss": [3, 2], "acc": [0.1]}, indent=1))
    assert keras.new() == [3, 2]
