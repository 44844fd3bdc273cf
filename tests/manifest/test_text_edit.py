"""Texts that hold other values: the data arrives, and all else stays as it was written."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from experiments.manifest import text_nodes, yaml_text
from experiments.manifest.text_edit import edit_json, edit_text
from experiments.manifest.yaml_text import dump_yaml, load_yaml, parser_events
from experiments.problems import ProblemsError
from tests.many_cases import each


@pytest.fixture(params=["c", "python"])
def either_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with libyaml's parser and with PyYAML's own: their positions must mean the same."""
    if request.param == "python":
        monkeypatch.setattr(yaml_text, "_Loader", yaml.SafeLoader)


def changed(text: str, change: Callable[[Any], object]) -> str:
    """The text after the change of its data; what it holds is checked here, once for all."""
    data = load_yaml(text).data
    wanted = copy.deepcopy(data)
    change(wanted)
    result = edit_text(text, wanted)
    found = load_yaml(result).data
    assert json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    return result


TEXT = """\
# who made this, and why
apiVersion: x   # never changes
metadata:
    name: a     # four spaces, kept

    labels: {a: 1,   # inside brackets
             b: 'x', "c": y}
spec:
  n: 0644
  e:
  f: ~
  big: 1_000
  lr: 1e-4
  # above the space
  searchSpace: |-   # of the space
    {
      "a": {"_type": "choice",  "_value": [1]}
    }
  # above the tasks

  tasks:
  # above the first
  - type: worker # worker
    # inside
    command:
      - a

      # above b
      - "b"
    # below the command
    env: []   # none
  # above the second
  - type: ps
  list: [1, 2,
    # in the list
    3]
  long: a plain text
    of two lines
  fold: >
    folded
    text
  code: "caf\\u00e9"
# at the left
  tuner:
    name: TPE
# the end
"""


def lines_gone(before: str, after: str) -> list[str]:
    left = after.splitlines()
    return [line for line in before.splitlines() if line not in left]


@pytest.mark.usefixtures("either_loader")
@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (lambda d: d["metadata"].update(name="b"), "name: a     #", "name: b     #"),
        (lambda d: d["metadata"]["labels"].update(b=5), "b: 'x'", "b: 5"),
        (lambda d: d["metadata"]["labels"].pop("a"), "{a: 1,   # inside brackets\n             b",
         "{b"),
        (lambda d: d["spec"].update(n=5), "n: 0644", "n: 5"),
        (lambda d: d["spec"].update(e="x"), "  e:\n", "  e: x\n"),
        (lambda d: d["spec"].update(e={"a": [1]}), "  e:\n", "  e:\n    a:\n      - 1\n"),
        (lambda d: d["spec"].update(lr="1e-4"), "lr: 1e-4", "lr: '1e-4'"),
        (lambda d: d["spec"].update(searchSpace="{\n  1\n}"),
         '    {\n      "a": {"_type": "choice",  "_value": [1]}\n    }', "    {\n      1\n    }"),
        (lambda d: d["spec"].update(searchSpace="x"),
         '    {\n      "a": {"_type": "choice",  "_value": [1]}\n    }', "    x"),
        (lambda d: d["spec"]["tasks"][0]["command"].append("c"), '      - "b"\n',
         '      - "b"\n      - c\n'),
        (lambda d: d["spec"]["tasks"][0]["command"].pop(), '\n\n      # above b\n      - "b"', ""),
        (lambda d: d["spec"]["tasks"][0].update(env=[{"name": "A"}]), "    env: []   # none\n",
         "    env:  # none\n      - name: A\n"),
        (lambda d: d["spec"]["tasks"].pop(0),
         TEXT[TEXT.index("  # above the first"):TEXT.index("  # above the second")], ""),
        (lambda d: d["spec"]["tasks"][1].update(type="x"), "type: ps", "type: x"),
        (lambda d: d["spec"]["list"].insert(2, 9), "2,\n    # in the list\n    3",
         "2,\n    # in the list\n    9, 3"),
        (lambda d: d["spec"].update(long="short"), "a plain text\n    of two lines", "short"),
        (lambda d: d["spec"].pop("tuner"), "# at the left\n  tuner:\n    name: TPE\n", ""),
        (lambda d: d["spec"].update(tuner="TPE"), "  tuner:\n    name: TPE\n", "  tuner: TPE\n"),
        (lambda d: d["spec"].update(maxTrialNum=3), "spec:\n", "spec:\n"),
    ],
)  # fmt: skip
def test_an_edit_replaces_what_it_means_and_nothing_else(
    change: Callable[[Any], object], old: str, new: str
) -> None:
    assert TEXT.count(old) == 1
    expected = TEXT.replace(old, new)
    result = changed(TEXT, change)
    if "maxTrialNum" in result:
        assert lines_gone(TEXT, result) == []
        result = result.replace("  maxTrialNum: 3\n", "")
    assert result == expected


@pytest.mark.usefixtures("either_loader")
def test_entries_move_with_their_comments() -> None:
    result = changed(TEXT, lambda d: d["spec"]["tasks"].reverse())
    assert lines_gone(TEXT, result) == []
    tasks = result[result.index("  tasks:") : result.index("  list:")]
    assert tasks.startswith("  tasks:\n  # above the second\n  - type: ps\n  # above the first\n")


def test_what_is_as_wanted_is_not_written_anew() -> None:
    odd = "\ufeff# c\r\nkind:   'x'\r\nspec: {a: 1,}\r\n\r\n"
    assert edit_text(odd, load_yaml(odd).data) == odd


def test_new_fields_stand_where_the_specification_has_them() -> None:
    text = "kind: AutoTuneExperiment  # kind\nspec:\n  tuner:\n    builtinTunerName: TPE\n"

    def change(data: Any) -> None:
        data["spec"]["assessor"] = {"builtinAssessorName": "Medianstop"}
        data["spec"]["searchSpace"] = "{\n}"
        data["apiVersion"] = "x"

    assert changed(text, change) == (
        "apiVersion: x\nkind: AutoTuneExperiment  # kind\nspec:\n  searchSpace: |-\n    {\n    }\n"
        "  tuner:\n    builtinTunerName: TPE\n  assessor:\n    builtinAssessorName: Medianstop\n"
    )


def test_json_stays_json_and_keeps_its_lines() -> None:
    text = '{"kind": "x",\n "spec": {\n   "a": 1,\n   "b": [1, 2]\n }\n}\n'

    def change(data: Any) -> None:
        data["spec"]["b"][1] = "é\n"
        data["spec"]["c"] = {"d": None}
        data["apiVersion"] = True

    result = changed(text, change)
    assert json.loads(result) == load_yaml(result).data
    assert result == (
        '{"apiVersion": true,\n "kind": "x",\n "spec": {\n   "a": 1,\n   "b": [1, "é\\n"],\n'
        '   "c": {"d": null}\n }\n}\n'
    )


def test_windows_line_ends_stay() -> None:
    text = "kind: x  # k\r\nspec:\r\n  a: 1  # one\r\n  # last\r\n  b: |-\r\n    p\r\n    q\r\n"
    result = changed(text, lambda d: d["spec"].update(a=[1, {"b": 2}], b="r\ns"))
    assert "\n" not in result.replace("\r\n", "")
    assert result.startswith("kind: x  # k\r\nspec:\r\n  a:  # one\r\n    - 1\r\n")
    assert result.endswith("  # last\r\n  b: |-\r\n    r\r\n    s\r\n")


SHARED = """\
a: &a
  x: 1  # one
  y: [1]
b: *a  # the same
c:
  <<: *a
  # mine
  z: 3
d: [*a]
"""


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda d: d["a"].update(x=2), ("x: 2  # one", "# the same", "# mine")),
        (lambda d: d["b"].update(x=2), ("x: 1  # one", "<<: *a", "d: [*a]", "# mine")),
        (lambda d: d["c"].update(x=2), ("b: *a  # the same", "<<: *a", "# mine")),
        (lambda d: d["c"].pop("x"), ("b: *a  # the same", "# mine")),
        (lambda d: d["c"].update(z=4), ("b: *a  # the same", "<<: *a", "z: 4")),
        (lambda d: d.pop("a"), ("# the same", "# mine")),
        (lambda d: d["d"].append(1), ("b: *a", "d: [*a, 1]")),
    ],
)  # fmt: skip
def test_what_is_written_once_for_several_places_is_changed_in_one(
    change: Callable[[Any], object], kept: tuple[str, ...]
) -> None:
    result = changed(SHARED, change)
    assert [words for words in kept if words not in result] == []


@pytest.mark.parametrize(
    "text",
    [
        "? a\n: 1\n", "a: !!str 5\n", "{a, b: 1}", "a: [b: 1]\n", "a: |2\n   x\nb: 1\n",
        "a:\n- \n- b\n",
        "a: |+\n  x\n\nb: 1\n", "a: >-\n  x\n  y\nb: 1", "---\na: 1\n...\n", "a: &x 1\nb: *x\n",
        "- ", "a: [\n]\nb: {\n}\n", "'a': \"b\"\n\"c\" : 1\n", "a:\n  - - 1\n    - 2\n  - - 3\n",
        "a: x\n # c\n\nb: y", "a: 'it''s\n  two'\n", "a: {b: {c: [1, {d: 2}]}}",
    ],
)  # fmt: skip
@each("seed", range(6))
def test_odd_spellings_hold_what_is_wanted(text: str, seed: int) -> None:
    try:
        load_yaml(text)
    except ProblemsError:
        return
    rng = random.Random(seed)
    for _ in range(5):
        text = changed(text, lambda data: mutate(data, rng))


def test_a_text_that_cannot_be_read_is_not_edited() -> None:
    with pytest.raises(ProblemsError):
        edit_text("a: [", {"a": 1})


def test_a_json_text_keeps_its_layout_and_takes_the_order() -> None:
    text = '{\n  "a": {"_type":"choice",\n        "_value":[1,2]},\n  "b": 1e-4,\n  "c": 3\n}'
    held = json.loads(text)
    wanted = {"c": 3, "a": held["a"], "d": [1.0]}
    assert edit_json(text, wanted) == (
        '{\n  "c": 3,\n  "a": {"_type":"choice",\n        "_value":[1,2]},\n  "d": [1.0]\n}'
    )
    assert edit_json('{"a": "\\ud83d\\ude00"}', {"a": 1}) is None
    assert edit_json("{", {"a": 1}) is None


def test_editing_a_large_text_costs_a_few_readings_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many values change in it: every reading of a megabyte takes a second."""
    spec = {f"p{i}": {"_type": "choice", "_value": [i, i + 1]} for i in range(200)}
    text = dump_yaml({"spec": {"searchSpace": spec}})
    wanted = load_yaml(text).data
    for name in list(wanted["spec"]["searchSpace"])[::2]:
        wanted["spec"]["searchSpace"].pop(name)
    read: list[int] = []

    def events(text: str) -> Any:
        read.append(len(text))
        return parser_events(text)

    monkeypatch.setattr(yaml_text, "parser_events", events)
    monkeypatch.setattr(text_nodes, "parser_events", events)
    assert load_yaml(edit_text(text, wanted)).data == wanted
    assert len(text) <= sum(read) <= 5 * len(text)


# ---- anything, written anyhow, edited anyhow

SCALARS: list[Any] = [
    0, 1, -7, 2.5, 1e-05, 1e300, True, False, None, "", " ", "x", "a b", "5", "1e-4", "yes", "null",
    "~", "# no comment", "a: b", "- x", "two\nlines", "ends\n", " starts", "tab\there", "é😀", "'",
    '"', "{", "[1]", "*x", "&x", "!t", "|", ">", "%", "@", "\u2028", "\n\n", "x #y", "0o17", "0x1f",
    ".5", "-", "?", ":", "<<", "a\\b", "\x7f", "{\n  \"a\": 1\n}", "[\n1\n]", "trail \nx",
]  # fmt: skip


def value_at_random(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth < 4 and kind < 0.35:
        return {
            key_at_random(rng): value_at_random(rng, depth + 1) for _ in range(rng.randint(0, 4))
        }
    if depth < 4 and kind < 0.55:
        rows = [value_at_random(rng, depth + 1) for _ in range(rng.randint(0, 4))]
        return list({json.dumps(row): row for row in rows}.values())  # of twins either may go
    return rng.choice(SCALARS)


def key_at_random(rng: random.Random) -> str:
    return rng.choice(
        ["a", "b", "c", "name", "type", "lr.x", "a b", "1", "true", "spec", "é", "-k"]
    )


class Scribe:
    """Writes data as YAML in one of the many ways that mean it, with comments that have numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.n = 0
        self.places: dict[str, tuple[Any, ...]] = {}  # comment -> path of what it stands at

    def comment(self, path: tuple[Any, ...]) -> str:
        self.n += 1
        words = f"# <{self.n}>"
        self.places[words] = path
        return words

    def above(self, path: tuple[Any, ...], indent: int) -> str:
        blank = "\n" if self.rng.random() < 0.1 else ""
        if self.rng.random() < 0.3:
            return blank + " " * indent + self.comment(path) + "\n"
        return blank

    def after(self, path: tuple[Any, ...]) -> str:
        return f"  {self.comment(path)}" if self.rng.random() < 0.3 else ""

    def scalar(self, value: Any, *, block: int | None = None, path: tuple[Any, ...] = ()) -> str:
        if block is not None and isinstance(value, str) and self.rng.random() < 0.5:
            written = self.literal(value, block, path)
            if written:
                return written
        if isinstance(value, str):
            if self.rng.random() < 0.3 or "\x7f" in value or "\u2028" in value:
                return json.dumps(value, ensure_ascii="\x7f" in value or "\u2028" in value).replace(
                    "\x7f", "\\x7f"
                )
            return yaml_text.dump_value([value], flow=True)[1:-1]
        return json.dumps(value)

    def literal(self, value: str, indent: int, path: tuple[Any, ...]) -> str:
        rows = value.split("\n")
        if not value.strip() or value[0] in " \n" or "\u2028" in value or "\x7f" in value:
            return ""
        chomp = "-" if rows[-1] else ""
        if value.endswith("\n\n"):
            return ""
        rows = rows if rows[-1] else rows[:-1]
        body = "\n".join(" " * indent + row if row else "" for row in rows)
        return f"|{chomp}{self.after(path)}\n{body}"

    def flow(self, value: Any) -> str:
        space = self.rng.choice(["", " "])
        if isinstance(value, dict):
            rows = [f"{self.flow_key(k)}: {self.flow(v)}" for k, v in value.items()]
            return "{" + space + f",{space or ' '}".join(rows) + space + "}"
        if isinstance(value, list):
            return "[" + space + ", ".join(map(self.flow, value)) + space + "]"
        return self.scalar(value)

    def flow_key(self, key: str) -> str:
        return self.scalar(key) if self.rng.random() < 0.5 else json.dumps(key)

    def below(self, value: Any, indent: int, path: tuple[Any, ...]) -> str:
        """What follows ``key:`` or ``-``, with the line's end."""
        if not isinstance(value, dict | list) or not value or self.rng.random() < 0.2:
            if isinstance(value, dict | list):
                return f" {self.flow(value)}{self.after(path)}\n"
            if value is None and self.rng.random() < 0.5:
                return f"{self.after(path)}\n"
            written = self.scalar(value, block=indent + self.rng.randint(1, 4), path=path)
            return f" {written}\n" if "\n" in written else f" {written}{self.after(path)}\n"
        return f"{self.after(path)}\n" + self.block(
            value, indent + self.rng.choice([1, 2, 4]), path
        )

    def block(self, value: Any, indent: int, path: tuple[Any, ...]) -> str:
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        text = ""
        for name, inner in pairs:
            here = (*path, name)
            text += self.above(here, indent) + " " * indent
            if isinstance(value, list):
                compact = isinstance(inner, dict) and inner and self.rng.random() < 0.7
                if compact:
                    text += "- " + self.block(inner, indent + 2, here).lstrip(" ")
                else:
                    text += "-" + self.below(inner, indent, here)
            else:
                text += self.flow_key(name) + ":" + self.below(inner, indent, here)
        return text


def mutate(data: Any, rng: random.Random) -> tuple[tuple[Any, ...], str]:
    """Change one thing in place; returns where, and what was done there."""
    path: tuple[Any, ...] = ()
    inner = data
    while True:
        names = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        deeper = [n for n in names if isinstance(inner[n], dict | list) and inner[n]]
        if not deeper or rng.random() < 0.3:
            break
        name = rng.choice(deeper)
        inner, path = inner[name], (*path, name)
    names = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    what = rng.choice(["set", "add", "remove", "set", "move"])
    if what == "remove" and len(names) > 1:
        name = rng.choice(names)
        del inner[name]
        return (*path, name), "remove"
    if what == "move" and isinstance(inner, list) and len(inner) > 1:
        inner.reverse()
        return path, "move"
    if what == "add" or not names:
        if isinstance(inner, list):
            place = rng.randint(0, len(inner))
            inner.insert(place, value_at_random(rng, 3))
            return (*path, place), "insert"
        new = next((k for k in (key_at_random(rng) for _ in range(20)) if k not in inner), "new")
        inner[new] = value_at_random(rng, 3)
        return (*path, new), "add"
    name = rng.choice(names)
    inner[name] = value_at_random(rng, 3)
    return (*path, name), "set"


def is_touched(place: tuple[Any, ...], path: tuple[Any, ...], what: str) -> bool:
    """Whether a comment at ``place`` may go with an edit."""
    return what != "insert" and what != "move" and what != "add" and place[: len(path)] == path


def order_of(data: Any, other: Any) -> Any:
    """The names of every mapping that both have, in the order of ``data``."""
    if not isinstance(data, dict) or not isinstance(other, dict):
        return []
    return [[name, order_of(data[name], other[name])] for name in data if name in other]


@pytest.mark.long
@each("seed", range(300))
def test_any_edit_of_any_text_arrives_and_spares_the_rest(seed: int) -> None:
    edit_at_random(seed)


@each("seed", range(0, 300, 6))
def test_without_libyaml_they_do_too(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "_Loader", yaml.SafeLoader)
    edit_at_random(seed)


def edit_at_random(seed: int) -> None:
    rng = random.Random(seed)
    data: dict[str, Any] = {}
    while len(data) < 2:
        data = {key_at_random(rng): value_at_random(rng) for _ in range(5)}
    scribe = Scribe(rng)
    text = scribe.comment(("head",)) + "\n" + scribe.block(data, 0, ()) + "# <end>\n"
    if load_yaml(text).data != data:
        pytest.fail(f"the scribe wrote something else:\n{text}\n{data}")
    wanted = copy.deepcopy(data)
    path, what = mutate(wanted, rng)
    result = edit_text(text, wanted)
    found = load_yaml(result).data
    assert json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True), text
    lost = [
        words
        for words, place in scribe.places.items()
        if words not in result and not is_touched(place, path, what)
    ]
    assert lost == [], f"{path} {what}\n{text}\n---\n{result}"
    assert "# <end>" in result
    assert order_of(found, data) == order_of(wanted, data)
