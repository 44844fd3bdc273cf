"""A search space that grows as programs meet parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest.elsewhere_spec import GROWING
from experiments.models import Experiment
from tests.elsewhere.conftest import Program, manifest
from tests.web.rest import LIST, errors, post, trials_url

Make = Callable[..., Program]
LR = {"lr": {"_type": "loguniform", "_value": [1e-5, 0.1]}}
LAYERS = {"layers": {"_type": "randint", "_value": [1, 5]}}


def growing(program: Make, tuner: str = "Random", **spec: Any) -> Program:
    chosen = {"builtinTunerName": tuner, "classArgs": {"optimize_mode": "minimize"}}
    fields = {"elsewhere": {"grows": True}, "searchSpace": None, "tuner": chosen}
    return program(**{**fields, "maxTrialNum": 40, "trialConcurrency": 4, **spec})


def space_of(app: Program) -> dict[str, Any]:
    found = Experiment.objects.get(pk=app.experiment.pk)
    return dict(json.loads(found.manifest["spec"]["searchSpace"]))


def test_what_a_trial_meets_is_added_and_drawn(program: Make, client: Client) -> None:
    app = growing(program)
    trial = app.take()
    assert trial["parameters"] == {}
    first = app.say("grow", trial, space=LR)["parameters"]
    assert 1e-5 <= first["lr"] <= 0.1
    assert app.say("grow", trial, space=LR)["parameters"] == first
    app.say("grow", trial, space=LAYERS)
    assert space_of(app) == {**LR, **LAYERS}
    app.tell(trial, value=1)
    after = app.take("b")["parameters"]
    assert set(after) == {"lr", "layers"}
    shown = client.get(trials_url(app.experiment, "0/")).json()["parameters"]
    assert shown["lr"] == first["lr"]
    (words,) = app.experiment.events.filter(what="details", data__searchSpace__has_key="lr")
    assert words.reason == "The search space grew: lr."


def test_bounds_widen_and_options_are_added(program: Make) -> None:
    app = growing(program)
    trial = app.take()
    app.say("grow", trial, space={"x": {"_type": "uniform", "_value": [0, 1]}})
    app.say("grow", trial, space={"k": {"_type": "choice", "_value": ["a", 1]}})
    other = app.take("b")
    narrow = {"x": {"_type": "uniform", "_value": [5, 6]}}
    assert 5 <= app.say("grow", other, space=narrow)["parameters"]["x"] <= 6
    app.say("grow", other, space={"k": {"_type": "choice", "_value": [True, "a"]}})
    assert space_of(app) == {
        "x": {"_type": "uniform", "_value": [0, 6]},
        "k": {"_type": "choice", "_value": ["a", 1, True]},
    }


def test_another_kind_of_the_same_name_is_refused(program: Make) -> None:
    app = growing(program)
    trial = app.take()
    app.say("grow", trial, space=LR)
    wrong = {"lr": {"_type": "uniform", "_value": [0, 1]}}
    (error,) = app.say("grow", trial, 400, space=wrong)["errors"]
    assert error["path"] == "space.lr"
    assert "is loguniform [1e-05, 0.1]" in error["message"]
    (error,) = app.say("grow", trial, 400, space={"a": {"_type": "unform"}})["errors"]
    assert error["path"] == "space.a._type"


def test_only_what_was_met_stays_with_the_trial(program: Make) -> None:
    app = growing(program)
    first = app.take()
    app.say("grow", first, space={**LR, **LAYERS})
    app.tell(first, value=1)
    trial = app.take("b")
    told = app.tell(trial, value=2, used=["lr"])
    assert set(app.experiment.trials.get(number=told["number"]).parameters) == {"lr"}
    assert app.tell(trial, value=2, used=["lr"]) == told


def test_a_fixed_space_does_not_grow(program: Make) -> None:
    app = program()
    (error,) = app.say("grow", app.take(), 409, space=LR)["errors"]
    assert "spec.elsewhere.grows" in error["message"]


@pytest.mark.parametrize(
    "tuner",
    [pytest.param(name, marks=[] if name == "TPE" else [pytest.mark.long]) for name in GROWING],
)
def test_tuners_go_on_from_trials_that_lack_parameters(program: Make, tuner: str) -> None:
    """With nothing, with one parameter, another, a wider one: what is proposed next fits."""
    app = growing(program, tuner)
    met = [{}, LR, LAYERS, LR, {"x": {"_type": "uniform", "_value": [0, 1]}}, LR,
           {"x": {"_type": "uniform", "_value": [-9, 1]}}, LAYERS]  # fmt: skip
    for number, space in enumerate(met):
        trial = app.take(str(number))
        known = space_of(app)
        if known:
            parsed = SearchSpace.parse(known)
            assert parsed.contains(trial["parameters"]) == [], trial
        if space:
            app.say("grow", trial, space=space)
        told = app.tell(trial, value=number % 3, used=list(space))
        assert told["state"] == "SUCCEEDED", told


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"elsewhere": {"grows": 1}}, "spec.elsewhere.grows"),
        ({"elsewhere": {"lostAfterSeconds": 1}}, "spec.elsewhere.lostAfterSeconds"),
        ({"elsewhere": {"lostAfter": 9}}, "spec.elsewhere.lostAfter"),
        ({"elsewhere": []}, "spec.elsewhere"),
        ({"metrics": {"objective": "a"}}, "spec.metrics"),
        ({"trainingConfig": {}}, "spec.trainingConfig"),
        ({"searchSpace": {}}, "spec.searchSpace"),
        (
            {"elsewhere": {"grows": True}, "tuner": {"builtinTunerName": "GridSearch"}},
            "spec.tuner",
        ),
    ],
)
def test_bad_manifests_name_the_field(client: Client, spec: dict[str, Any], path: str) -> None:
    answer = post(client, f"{LIST}validate/", manifest(**spec))
    assert answer.status_code == 400
    assert path in errors(answer), answer.json()
