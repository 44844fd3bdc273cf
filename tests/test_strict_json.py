"""The one reader of JSON that somebody sent: what it takes, what it refuses, in which words."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest

from experiments.strict_json import JsonRefused, read_json

ROOT = Path(__file__).resolve().parent.parent / "experiments"
# What our own programs wrote, or a cluster or AIStore answered: nobody's mistakes to explain.
OWN_FILES = {
    "strict_json.py", "manifest/json_text.py",  # names in a text that was read already
    "training/local/wrapper.py", "training/local/fork_server.py", "embedded/supervisor.py",
    "training/local/machine.py", "training/local/preload.py", "training/local/records.py",
    "training/local/slots.py", "training/local/collector.py",  # what we wrote ourselves
    "training/client/autotune_trial.py",  # imports nothing of ours
    "training/local/metric_lines.py",  # what anybody prints: what is no JSON is a line like others
    "shell/server.py",  # of our own server
    "training/kubernetes/api.py", "training/kubernetes/watch.py",
    "training/kubernetes/jobs/batch.py",
    "aistore/client.py", "aistore/vault.py",
    "manifest/stored.py", "aistore/original.py",  # a row's own manifest
    "training/local/interpreter.py", "embedded/nursery.py", "charts/base.py",
    "selectors/fast_rows.py",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ('{"x": NaN}', "JSON has no NaN", 1),
        ('{"x": 1,\n"y": -Infinity}', "JSON has no -Infinity", 2),
        ('{\n"x": 1e999}', "the number 1e999 is too large", 2),
        ("[" * 100_000, "it is nested too deeply", 0),
        (f'{{"x": {"9" * 5000}}}', "it holds a number that is too long", 0),
        ("{'x': 1}", "Expecting property name", 1),
        (b'{"x":\n"\xff"}', "it is not UTF-8 text", 2),
    ],
)
def test_what_no_part_of_ours_can_keep_is_refused(text: Any, words: str, line: int) -> None:
    with pytest.raises(JsonRefused) as refused:
        read_json(text)
    assert str(refused.value).startswith(words)
    assert refused.value.line == line


def test_a_trials_numbers_need_not_be_finite() -> None:
    found = read_json("[NaN, Infinity, 1e999]", nan=True, huge=True)
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, math.inf]
    assert read_json('{"x": 1e999}', huge=True) == {"x": math.inf}


def test_bytes_may_begin_with_a_mark() -> None:
    assert read_json(b'\xef\xbb\xbf{"x": "\xc3\xa9"}') == {"x": "é"}


def test_nobody_reads_what_was_sent_in_another_way() -> None:
    readers = set()
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        if "json" not in text or "load" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("loads", "load")
                and isinstance(node.value, ast.Name)
                and node.value.id == "json"
            ):
                readers.add(str(path.relative_to(ROOT)))
    assert readers <= OWN_FILES
