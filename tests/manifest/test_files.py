"""Files as kubectl takes them: what is found in them, with which text and which lines."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from experiments.manifest.files import Contents, read_contents
from experiments.manifest.spec import parse_manifest
from experiments.manifest.yaml_text import dump_yaml, load_yaml
from experiments.problems import Problem, ProblemsError
from tests.manifest.manifests import small

KEY = "0123abcd-0123-4567-89ab-0123456789ab"
EXPERIMENT = "# mine\n" + dump_yaml(small())
SECRET = f"""\
apiVersion: v1
kind: Secret
metadata:
  name: my-key
data:
  apikey: {base64.b64encode(KEY.encode()).decode()}
"""
CONFIG = "kind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '1'}\n"


def problems_of(text: str, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        read_contents(text, **options)
    return caught.value.problems


def check(found: Contents) -> None:
    """One experiment, one secret, and the rest named."""
    (given,) = found.manifests
    assert parse_manifest(given.data).spec.name == "small"
    assert load_yaml(given.text).data == given.data == small()
    (secret,) = found.secrets
    assert (secret.name, secret.value) == ("my-key", KEY)
    assert KEY not in repr(found)
    assert KEY not in given.text
    assert "apikey" not in given.text


@pytest.mark.parametrize(
    "text",
    [
        f"{EXPERIMENT}---\n{SECRET}",
        f"---\n{SECRET}---\n{EXPERIMENT}",
        f"---\n---\n# nothing\n---\n{SECRET}...\n---\n{EXPERIMENT}...\n",
        f"\ufeff# head\n{SECRET}--- # second\n{EXPERIMENT}---\n",
        f"{SECRET}---\n{EXPERIMENT}".replace("\n", "\r\n"),
        f"null\n---\n{SECRET}--- ~\n---\n{EXPERIMENT}--- NULL\n",
    ],
    ids=["behind", "before", "among nothing", "marked", "of Windows", "among nulls"],
)
def test_a_secret_beside_an_experiment_is_kept_apart(text: str) -> None:
    found = read_contents(text)
    check(found)
    assert found.ignored == ()
    (given,) = found.manifests
    assert text[given.start : given.end] == given.text
    assert "# mine" in given.text


def test_what_is_no_experiment_is_named_with_its_line() -> None:
    other = "kind: Secret\nmetadata: {name: tls}\nstringData: {password: hidden}\n"
    found = read_contents(f"{SECRET}---\n{CONFIG}---\n{EXPERIMENT}---\n{other}---\na: 1\n")
    check(found)
    words = [(p.message.split(" is left out")[0], p.line) for p in found.ignored]
    n = SECRET.count("\n")
    first, second, third = n + 2, n + 7 + EXPERIMENT.count("\n"), n + 11 + EXPERIMENT.count("\n")
    assert words == [
        ("ConfigMap 'settings'", first),
        ("Secret 'tls'", second),
        ("an object without a kind", third),
    ]
    assert "hidden" not in repr(found.ignored)


def test_a_key_in_plain_text_is_taken() -> None:
    plain = SECRET.split("\ndata:")[0] + f"\n  namespace: team\nstringData:\n  apikey: {KEY}\n"
    (secret,) = read_contents(f"{EXPERIMENT}---\n{plain}").secrets
    assert (secret.value, secret.namespace) == (KEY, "team")


def test_a_key_in_base64_may_have_ends_of_lines() -> None:
    coded = base64.b64encode(KEY.encode()).decode()
    block = f"apikey: |\n    {coded[:20]}\n    {coded[20:]}\n"
    text = f"{EXPERIMENT}---\n{SECRET.partition('apikey:')[0]}{block}"
    (secret,) = read_contents(text).secrets
    assert secret.value == KEY


@pytest.mark.parametrize("value", ["nonsense", "5", "", "é", base64.b64encode(b"key").decode()])
def test_a_broken_key_is_refused_without_showing_it(value: str) -> None:
    broken = SECRET.rpartition("  apikey: ")[0] + f"  apikey: '{value}'\n"
    (problem,) = problems_of(f"{EXPERIMENT}---\n{broken}")
    assert problem.path == "Secret.my-key.data.apikey"
    assert problem.message == (
        "must be an API key: small hexadecimal digits as 8-4-4-4-12, in base64; it is not."
    )
    assert problem.line == EXPERIMENT.count("\n") + 1 + SECRET.count("\n")


def as_list(*texts: str) -> str:
    rows = ["apiVersion: v1", "kind: List", "items:"]
    for text in texts:
        first, *others = text.rstrip("\n").split("\n")
        rows += [f"- {first}", *(f"  {row}" if row else "" for row in others)]
    return "\n".join(rows) + "\n"


def test_a_list_is_unpacked_with_texts_and_lines_of_its_items() -> None:
    text = as_list(SECRET, EXPERIMENT.replace("# mine\n", "").replace("maxTrial", " maxTrial", 0))
    found = read_contents(text)
    check(found)
    (given,) = found.manifests
    assert given.end == 0  # it is no stretch of the text
    line = given.line_of("spec.maxTrialNum")
    assert line is not None
    assert "maxTrialNum" in text.splitlines()[line - 1]


def test_comments_inside_a_lists_item_stay_with_it() -> None:
    commented = EXPERIMENT.replace("# mine\n", "").replace("spec:", "spec:  # what we want", 1)
    (given,) = read_contents(as_list(commented)).manifests
    assert given.text == commented


def test_json_may_be_a_list_and_keeps_its_lines() -> None:
    secret = load_yaml(SECRET).data
    manifest = small({"metadata.labels": {"a": "x"}, "metadata.annotations": {"a": "😀"}})
    text = json.dumps({"kind": "List", "items": [secret, manifest]}, indent=1)
    assert "\\ud83d" in text
    found = read_contents(text, is_json=True)
    (given,) = found.manifests
    assert given.data == manifest
    assert json.loads(given.text) == manifest
    line = given.line_of("spec.maxTrialNum")
    assert line is not None
    assert "maxTrialNum" in text.splitlines()[line - 1]
    assert found.secrets[0].value == KEY


def test_json_objects_one_after_the_other_are_taken_each() -> None:
    secret, other = json.dumps(load_yaml(SECRET).data), json.dumps({"kind": "Job"}, indent=1)
    text = f"\ufeff{secret}\n{other} {json.dumps(small(), indent=1)}\n"
    found = read_contents(text, is_json=True)
    check(found)
    (given,) = found.manifests
    assert text[given.start : given.end] == given.text
    line = given.line_of("spec.maxTrialNum")
    assert line is not None
    assert "maxTrialNum" in text.splitlines()[line - 1]
    assert [(p.message.split(" is")[0], p.line) for p in found.ignored] == [("a Job", 2)]
    (problem,) = problems_of(f'{text}{{\n"a": 1,\n"a": 2}}', is_json=True)
    assert (problem.path, problem.line) == ("a", text.count("\n") + 3)
    (problem,) = problems_of(f'{text}{{\n"a" 1}}', is_json=True)
    assert problem.line == text.count("\n") + 2
    (problem,) = problems_of("{}" * 500, is_json=True)
    assert "at most 100 objects" in problem.message


@pytest.mark.parametrize("text", [EXPERIMENT, "kind: autotune\n", "a: 1\n", CONFIG])
def test_a_single_object_is_handed_on_whatever_it_is(text: str) -> None:
    (given,) = read_contents(text).manifests
    assert given.text == text
    assert given.data == load_yaml(text).data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "There is no AutoTuneExperiment in the file. It holds: Secret 'my-key'."),
        (f"{CONFIG}---\nkind: Job\n", "It holds: ConfigMap 'settings', a Job."),
        ("kind: List\nitems: []\n", "It holds: nothing."),
        ("kind: List\nitems: [5]\n", "must be a mapping"),
        ("---\n---\n", "It holds: nothing"),
        ("", "The manifest is empty"),
        ("---\n" * 3 + "- a\n", "must be a mapping"),
    ],
)
def test_a_file_without_an_experiment_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse_manifest(read_contents(text).manifests[0].data)
    assert words in str(caught.value)


def test_lines_of_a_later_document_are_the_files() -> None:
    (problem,) = problems_of(f"{CONFIG}---\n{EXPERIMENT}  x: [\n")
    assert problem.line is not None
    assert problem.line > CONFIG.count("\n") + EXPERIMENT.count("\n")
    twice = problems_of(f"{CONFIG}---\na: 1\na: 2\n")
    assert [p.line for p in twice] == [6]


@pytest.mark.long
def test_a_file_of_very_many_or_very_large_objects_is_refused_at_once() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join(['*a' if i == 0 else f'*a{i - 1}'] * 9)}]\n" for i in range(4)
    )
    for deep in ("[" * 100_000, "{a: " * 50_000, f"{EXPERIMENT}---\n" + "- " * 100_000):
        begun = time.process_time()
        (problem,) = problems_of(deep)
        assert "nested deeper" in problem.message
        assert time.process_time() - begun < 5
    for text in (f"---\n{bomb}" * 2000, "---\na: 1\n" * 20_000, f"{EXPERIMENT}---\n" + "x" * 2**20):
        begun = time.process_time()
        assert problems_of(text)
        assert time.process_time() - begun < 5
