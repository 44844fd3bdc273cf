"""Problems, reasons and texts of events in Chinese: every one, and the user's words kept."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet
from django.test import Client
from django.utils import translation

from experiments import problems as made_by
from experiments.models import Experiment, Trial
from experiments.problems import Problem
from experiments.said import Phrasebook, said
from experiments.states import Phase, TrialState
from tests import sentences, translations
from tests.algorithms import test_settings, test_space
from tests.manifest import (
    test_files,
    test_forecast,
    test_spec_problems,
    test_yaml_text,
)
from tests.sentences import PLACE
from tests.web import test_form_manifest, test_trial_filter

CHINESE = {"accept-language": "zh-CN,zh;q=0.9"}
CASES = json.loads((Path(__file__).parent / "js" / "said.json").read_text())
TEMPLATES = [
    message
    for domain in ("events", "problems")
    for message in translations.catalogue("zh_Hans", domain)
    if message.id
]
# Names, values and quoted text stay as they are; of a sentence three words in a row tell.
STAYS = re.compile(r"“[^”]*”|'(?:[^'\\]|\\.)*'|\"[^\"]*\"|`[^`]*`|\{.*\}|\[.*\]|\S*[_./\d]\S*")
ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']*\b +){2,}[A-Za-z][a-z']+")


def in_chinese(text: str) -> str:
    with translation.override("zh-hans"):
        return said(text)


def english_in(text: str) -> str:
    found = ENGLISH.search(STAYS.sub("·", text))
    return found[0] if found else ""


@pytest.mark.parametrize(("text", "expected"), CASES["cases"])
def test_a_sentence_is_found_again_by_its_template(text: str, expected: str) -> None:
    assert Phrasebook(CASES["catalogue"]).say(text) == expected


def test_each_template_is_told_from_all_others() -> None:
    """Filled with values that are in no sentence, each gives its own translation."""

    def filled(template: str) -> str:
        return PLACE.sub(lambda place: f"«{place[1]}»", template)

    for message in TEMPLATES:
        assert len(re.findall(r"[A-Za-z]", PLACE.sub("", message.id))) >= 3, message.id
        assert in_chinese(filled(message.id)) == filled(message.string)


@pytest.mark.parametrize(
    "text", ["not stored: " * 330, "a: " * 1300, "a; " * 1300, "exit code 1; last line: " * 160]
)
def test_no_text_of_anybodys_takes_long_or_too_deep(text: str) -> None:
    assert in_chinese(text).endswith(text[-10:])


def test_no_module_says_what_no_catalogue_holds() -> None:
    """Whoever makes a problem, a refusal or an event's reason is in the lists of sentences.py."""
    makes = re.compile(r"\b(?:Problem|Refused|Http404|LaunchError|SecretError)\(|reason=f?[\"']")
    silent = {"management/", "services/generated/wish.py", "problems.py", "live/"}
    silent.add("reports/artifacts.py")  # speaks to trial scripts
    named = sentences.modules("events") | sentences.modules("problems")
    assert [
        str(path.relative_to(sentences.ROOT))
        for path in sorted(sentences.ROOT.rglob("*.py"))
        if path not in named
        and not str(path.relative_to(sentences.ROOT)).startswith(tuple(silent))
        and makes.search(path.read_text())
    ] == []


def test_who_reads_english_gets_what_was_said() -> None:
    for language in ("en", None):
        with translation.override(language):
            assert said("A limit was raised.") == "A limit was raised."


# ---------------------------------------------------------------- every error case of other tests


def without_fixtures(module: ModuleType) -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """The tests of a module that need their table only, with each row of it."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or test.__module__ != module.__name__:
            continue
        axes = []
        for mark in getattr(test, "pytestmark", []):
            if mark.name != "parametrize":
                continue
            names, rows = mark.args[:2]
            named = names.replace(" ", "").split(",") if isinstance(names, str) else names
            plain = [
                row.values if isinstance(row, ParameterSet) else (row if len(named) > 1 else [row])
                for row in rows
            ]
            axes.append([dict(zip(named, row, strict=True)) for row in plain])
        if {*inspect.signature(test).parameters} != {n for axis in axes for n in (axis or [{}])[0]}:
            continue
        for rows in itertools.product(*axes):
            yield test, {name: value for row in rows for name, value in row.items()}


@pytest.mark.parametrize(
    "module",
    [
        *(test_spec_problems, test_yaml_text, test_files, test_forecast),
        *(test_space, test_settings, test_form_manifest, test_trial_filter),
    ],
    ids=lambda module: module.__name__,
)
def test_every_error_case_is_said_in_chinese(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: dict[str, Problem] = {}
    make = Problem.__init__

    def note(self: Problem, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        noted[self.message] = noted[self.hint] = self

    monkeypatch.setattr(made_by.Problem, "__init__", note)
    for test, row in without_fixtures(module):
        test(**row)
    assert len(noted) > 5
    left = {text: in_chinese(text) for text in noted if english_in(in_chinese(text))}
    assert left == {}


# ---------------------------------------------------------------- where it is shown


def test_rest_refuses_in_the_language_that_the_client_names(client: Client) -> None:
    text = "apiVersion: tensorstack.dev/v1beta1\nkind: AutoTuneExperiment\nspec: {maxTrialNum: x}\n"

    def refused(headers: dict[str, str]) -> dict[str, Any]:
        answer = client.post(
            "/api/v1/experiments/", text, content_type="application/yaml", headers=headers
        )
        assert answer.status_code == 400
        return {error["path"]: error for error in answer.json()["errors"]}

    english, chinese = refused({}), refused(CHINESE)
    assert english.keys() == chinese.keys()
    field = "spec.maxTrialNum"
    assert english[field]["message"] == "must be a whole number, but got the text 'x'."
    assert chinese[field]["message"] == "必须是整数，但得到的是文本 'x'。"
    assert chinese[field]["line"] == english[field]["line"] == 3
    assert not any(english_in(error["message"] + error["hint"]) for error in chinese.values())


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("get", "/api/v1/nothing", None),
        ("get", "/api/v1/experiments/x/", None),
        ("get", "/api/v1/experiments/?phase=ODD&nothing=1", None),
        ("post", "/api/v1/experiments/{id}/finish/", {}),
        ("patch", "/api/v1/experiments/{id}/", {"max_trials": 0, "name": "", "odd": 1}),
        ("get", "/api/v1/experiments/{id}/charts/histroy/", None),
        ("get", "/api/v1/experiments/{id}/trials/99/", None),
        ("get", "/api/v1/experiments/{id}/trials/?where=lr <", None),
    ],
)
def test_each_refusal_of_rest_is_chinese(
    client: Client,
    make_experiment: Callable[..., Experiment],
    method: str,
    path: str,
    data: Any,
) -> None:
    experiment = make_experiment(phase=Phase.DONE)
    send = getattr(client, method)
    options = {} if data is None else {"data": json.dumps(data), "content_type": "application/json"}
    answer = send(path.format(id=experiment.pk), headers=CHINESE, **options)
    assert answer.status_code >= 400
    for error in answer.json()["errors"]:
        assert re.search(r"[\u4e00-\u9fff]", error["message"]), error
        assert not english_in(f"{error['message']} {error['hint']}"), error


def test_pages_show_stored_words_in_chinese_and_rows_keep_them(
    client: Client, make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> None:
    why = "No trial succeeded. Trial 0: exit code 1: KeyError: 'a'"
    experiment = make_experiment(phase=Phase.ERROR, message=why)
    trial = make_trial(experiment, state=TrialState.FAILED, reason="Killed by the user.")
    for page in ("/", f"/experiments/{experiment.pk}/"):
        shown = client.get(page, headers=CHINESE).content.decode()
        assert "没有试验成功。试验 0：退出码 1: KeyError" in shown
    assert '<script id="said" type="application/json">' in shown
    assert 'id="said"' not in client.get("/").content.decode()
    path = f"/api/v1/experiments/{experiment.pk}/trials/{trial.number}/"
    assert client.get(path, headers=CHINESE).json()["reason"] == "Killed by the user."
