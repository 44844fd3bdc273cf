from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from experiments.manifest import yaml_text
from experiments.manifest.yaml_text import dump_yaml, load_yaml
from experiments.problems import Problem, ProblemsError
from tests.many_cases import each


def refusal(text: str | bytes) -> Problem:
    with pytest.raises(ProblemsError) as caught:
        load_yaml(text)
    (problem,) = caught.value.problems
    return problem


@pytest.fixture(params=["c", "python"])
def either_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with libyaml's parser and with PyYAML's own, which serves where libyaml is missing."""
    if request.param == "python":
        monkeypatch.setattr(yaml_text, "_Loader", yaml.SafeLoader)


@pytest.mark.usefixtures("either_loader")
@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("a:\n\tb: 1\n", 2, "Line 2: tabs can't indent", "spaces"),
        ("a:\n  b: 1\n\tc: 2\n", 3, "tabs can't indent", "spaces"),
        ("a: |-\n\ttext\n", 2, "tabs can't indent", "spaces"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice: first on line 1, again on line 3", "Keep"),
        ("a:\n  b: 1\n  b: 1\n", 3, "'b' is given twice", "Keep"),
        ("a: b: c\n", 1, "is not valid YAML", "quotes"),
        ("a:\n  - b\n - c\n", 3, "is not valid YAML", "indented"),
        ("a: 'x\n", None, "is not valid YAML", "closed"),
        ("a: [1, 2\n", None, "is not valid YAML", "closed"),
        ("a: @x\n", 1, "is not valid YAML", "quotes"),
        ("a: 1\n---\nb: 2\n", 2, "several documents", ""),
        ("- a\n- b\n", 1, "must be a mapping", "apiVersion"),
        ("\n\njust text\n", 3, "must be a mapping", "apiVersion"),
        ("a: *nowhere\n", 1, "'*nowhere' has no anchor", ""),
        ("a: &x\n  b: *x\n", 2, "contains itself", ""),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "'!!python/object", "plain"),
        ("a: !mine 3\n", 1, "tag '!mine' is not allowed", "plain"),
        ("? [a, b]\n: c\n", 1, "Names must be plain text", ""),
        ("a: .nan\n", 1, "must be finite", ""),
        ("a: -.inf\n", 1, "must be finite", ""),
        ("a: 1e999\n", 1, "too large", ""),
        ("ok: 1\na: \x01\n", 2, "Control character", ""),
    ],
)
def test_it_refuses(text: str, line: int | None, message: str, hint: str) -> None:
    problem = refusal(text)
    assert message in problem.message
    assert hint in problem.hint
    if line is not None:
        assert problem.line == line


@pytest.mark.parametrize("text", ["", "  \n", "# only a comment\n", "---\n...\n", "null\n"])
def test_an_empty_manifest_is_called_empty(text: str) -> None:
    assert "empty" in refusal(text).message


def test_a_manifest_of_5_mb_is_refused_at_once() -> None:
    started = time.process_time()
    problem = refusal("a: " + "x" * 5_000_000)
    assert "at most 1 MiB, but it is 4.8 MiB" in problem.message
    assert refusal(b"a: " + b"\xff" * 5_000_000).message == problem.message
    assert time.process_time() - started < 10


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    problem = refusal("\n".join(rows))
    assert "more than 100000 values" in problem.message
    assert problem.line == 6, "counted before it grows: the last line would be 9^12 values"


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "{a: " * 20_000, "- " * 20_000])
def test_deep_nesting_is_refused_without_recursing(text: str) -> None:
    problem = refusal(text)
    assert "nested deeper" in problem.message or "not valid YAML" in problem.message


def test_bytes_must_be_utf8() -> None:
    problem = refusal("ok: 1\nname: é\n".encode("latin-1"))
    assert ("UTF-8" in problem.message, problem.line) == (True, 2)


def test_half_a_character_is_refused() -> None:
    assert "surrogate" in refusal("a: \ud800").message


@pytest.mark.usefixtures("either_loader")
@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e-4", 0.0001),  # PyYAML alone reads these two as text
        ("1E5", 100_000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("12", 12),
        ("-0", 0),
        ("0644", 420),
        ("0o17", 15),
        ("0x1F", 31),
        ("089", 89),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-02", "2024-01-02"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("'1e-4'", "1e-4"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("!!float 12", 12),
        ("|-\n  12", "12"),
    ],
)
def test_scalars_follow_yaml_1_2_and_kubectl(scalar: str, value: Any) -> None:
    found = load_yaml(f"a: {scalar}\n").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_names_are_text_whatever_they_look_like() -> None:
    data = load_yaml("on: 1\n1: 2\ntrue: 3\nnull: 4\n").data
    assert data == {"on": 1, "1": 2, "true": 3, "null": 4}


def test_anchors_and_merges_give_separate_copies() -> None:
    data = load_yaml(
        "a: &a {x: [1]}\nb: *a\nc:\n  <<: *a\n  y: 2\nd: {<<: [*a, {z: 3}], x: 4}\n"
    ).data
    assert data["b"] == {"x": [1]}
    assert data["c"] == {"x": [1], "y": 2}
    assert data["d"] == {"x": 4, "z": 3}
    data["b"]["x"].append(2)
    assert data["a"] == {"x": [1]}


def test_json_is_yaml_tabs_and_all() -> None:
    loaded = load_yaml('{"a": 1,\n\t"b": [1, {"c": null}]}')
    assert loaded.data == {"a": 1, "b": [1, {"c": None}]}
    assert loaded.line_of("b[1].c") == 2


def test_lines_reach_into_lists_and_json_blocks() -> None:
    text = (
        "spec:\n"
        "  tasks:\n"
        "    - type: worker\n"
        "      command: [a,\n"
        "        b]\n"
        "  searchSpace: |-\n"
        "\n"
        "    {\n"
        '      "lr": {"_type": "uniform",\n'
        '             "_value": [0, 1]},\n'
        '      "a.b": {"_type": "choice", "_value": [\n'
        '        {"_name": "x"},\n'
        '        {"_name": "y"}]}\n'
        "    }\n"
    )
    line_of = load_yaml(text).line_of
    assert line_of("spec") == 1
    assert line_of("spec.tasks[0].type") == 3
    assert line_of("spec.tasks[0].command[1]") == 5
    assert line_of("spec.searchSpace") == 6
    assert line_of("spec.searchSpace.lr") == 9
    assert line_of("spec.searchSpace.lr._value[1]") == 10
    assert line_of('spec.searchSpace["a.b"]._type') == 11
    assert line_of('spec.searchSpace["a.b"]._value[1]._name') == 13
    assert line_of("spec.searchSpace", within=3) == 9


def test_the_line_of_what_is_missing_is_the_line_around_it() -> None:
    line_of = load_yaml("# comment\nspec:\n  tuner:\n    name: x\n").line_of
    assert line_of("spec.tuner.builtinTunerName") == 3
    assert line_of("spec.nothing.here[3].at.all") == 2
    assert line_of("metadata.name") == 2


@each(
    "value",
    [
        "", " ", "1e-4", "-.5E+3", "yes", "NO", "on", "null", "~", "true", "0644", "0o17", "0x1F",
        "1:30", "1_0", "2024-01-02", "a: b", "#x", "- x", "*x", "&x", "!x", "%x", "@x", "`x",
        "'", '"', "a\rb", "line\nline", "line\n", "\nline", "trailing \nblank", "  lead\nlines",
        "tab\tin",
        "é 中文 🚀", "\x85", "\u2028", "\x7f", "=", "<<", "x" * 300, "|-", "? x",
        12, -1, 0, 10**40, 1e-5, 1e22, 0.1, -0.0, 1.0, True, False, None, [], {}, [[]], [{}],
    ],
)  # fmt: skip
def test_whatever_is_written_is_read_back_the_same(value: Any) -> None:
    data = {"a": value, "b": [value, {"c": value}]}
    found = load_yaml(dump_yaml(data)).data
    assert found == data
    assert type(found["a"]) is type(value)


def test_texts_of_several_lines_are_written_as_blocks() -> None:
    assert dump_yaml({"a": '{\n  "x": 1\n}'}) == 'a: |-\n  {\n    "x": 1\n  }\n'


def test_fields_are_written_in_the_specifications_order_whatever_order_they_come_in() -> None:
    shuffled = {
        "spec": {"tuner": {}, "zz": 1, "searchSpace": "{}", "maxExecSeconds": 1},
        "kind": "K",
        "metadata": {"labels": {}, "name": "n"},
        "apiVersion": "v",
    }
    written = dump_yaml(shuffled)
    assert [row.split(":")[0] for row in written.splitlines()] == [
        "apiVersion", "kind", "metadata", "  name", "  labels", "spec", "  maxExecSeconds",
        "  searchSpace", "  tuner", "  zz",
    ]  # fmt: skip
