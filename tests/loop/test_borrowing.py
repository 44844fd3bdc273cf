"""Experiments that learn from earlier ones: what they keep, what they say, what they propose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments.loop import borrowing as told
from experiments.manifest.spec import parse_manifest
from experiments.models import Experiment, Trial
from experiments.problems import ProblemsError
from experiments.services import actions, borrowing
from experiments.services.intake import take_in
from experiments.states import EventKind, TrialState
from tests.conftest import MANIFEST
from tests.loop.passes import look, succeed
from tests.loop.scripted import ScriptedBackend

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def value_of(parameters: dict[str, Any]) -> float:
    """Highest at lr 0.01 and 64 units."""
    return float(-((math.log10(parameters["lr"]) + 2) ** 2) + parameters["units"] / 100)


@pytest.fixture
def parent(make_experiment: Make, make_trial: Make) -> Experiment:
    experiment: Experiment = make_experiment(id="parent00", name="parent", phase="DONE")
    for number in range(20):
        parameters = {"lr": 10 ** (number % 9 / 2 - 4), "units": [16, 32, 64, 128][number % 4]}
        make_trial(experiment, number=number, parameters=parameters, state=TrialState.SUCCEEDED,
                   value=value_of(parameters))  # fmt: skip
    make_trial(experiment, number=20, parameters={"lr": 0.1, "units": 16}, state="FAILED")
    return experiment


def manifest(**section: Any) -> dict[str, Any]:
    spec = {**MANIFEST["spec"], "tuner": {"builtinTunerName": "TPE"}, "maxTrialNum": 6,
            "warmStart": {"experiments": ["parent00"], **section}}  # fmt: skip
    return {**MANIFEST, "spec": spec}


def made(alice: Any = None, **section: Any) -> Experiment:
    return actions.create_experiment(parse_manifest(manifest(**section)), owner=alice)


def test_what_is_borrowed_is_kept_and_told(parent: Experiment) -> None:
    experiment = made()
    (row,) = experiment.warm_starts.all()
    assert (row.source_id, row.n_offered, len(row.trials)) == ("parent00", 20, 15)
    assert row.outside == {"units > 64": 5}
    values = [value for _, value in row.trials]
    assert values == sorted(values, reverse=True)
    event = experiment.events.get(what=EventKind.BORROWED)
    assert event.reason == "Borrowed 15 of 20 trials of parent (parent00); 5 outside: units > 64."
    assert experiment.trials.count() == 0  # they are no trials of its own
    (best,) = made(trials="top 4").warm_starts.all()
    assert best.n_offered == 4


def test_the_loop_begins_where_the_past_was_best(
    parent: Experiment, backend: ScriptedBackend
) -> None:
    experiment = made()
    look(experiment)
    first = experiment.trials.get(number=0)
    assert first.origin == "borrowed"
    assert first.note["borrowed"] == "parent (parent00)"
    assert abs(math.log10(first.parameters["lr"]) + 2) < 0.5
    start = experiment.events.get(trial=first, from_state="", what=EventKind.STATE)
    assert start.reason == "Learnt from parent (parent00)."


def test_a_deleted_source_and_a_restart_change_nothing(
    parent: Experiment, backend: ScriptedBackend
) -> None:
    kept, lost = made(), made()
    Experiment.objects.filter(pk=lost.pk).update(seed=kept.seed)
    found: list[list[Any]] = []
    for experiment in (kept, lost):
        for _ in range(4):
            experiment = look(experiment)
            for trial in experiment.trials.filter(state=TrialState.RUNNING):
                succeed(backend, trial, value_of(trial.parameters))
            if experiment.pk == lost.pk and parent.pk:
                parent.delete()
            told.forget()
        found.append(list(experiment.trials.order_by("number").values_list("parameters")))
    assert found[0] == found[1]
    assert Experiment.objects.get(pk=kept.pk).max_trials == 6


def test_the_budget_counts_own_trials_alone(parent: Experiment, backend: ScriptedBackend) -> None:
    experiment = made(trials="top 10")
    for _ in range(12):
        experiment = look(experiment)
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, -50.0)
    assert experiment.phase == "DONE"
    assert experiment.trials.count() == 6
    assert experiment.best_trial is not None
    assert experiment.best_trial.value == -50.0  # the past was better, and does not count


def problems(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [(p.path, p.message) for p in take_in(data).problems]


def test_bad_sources_are_named(parent: Experiment, make_experiment: Make) -> None:
    place = "spec.warmStart.experiments[0]"
    gone = manifest(experiments=["gone0000"])
    assert problems(gone) == [(place, "There is no experiment 'gone0000'.")]
    with pytest.raises(ProblemsError, match="There is no experiment 'gone0000'"):
        actions.create_experiment(parse_manifest(gone))
    Experiment.objects.filter(pk="parent00").update(deleting=True)
    assert problems(manifest()) == [(place, "There is no experiment 'parent00'.")]
    Experiment.objects.filter(pk="parent00").update(deleting=False, optimize_mode="minimize")
    assert (
        "has optimize_mode minimize, but this experiment has maximize"
        in (problems(manifest())[0][1])
    )
    make_experiment(spec={"searchSpace": {"x": {"_type": "uniform", "_value": [0, 1]}}},
                    id="other000")  # fmt: skip
    assert (
        "has no parameter of this search space"
        in (problems(manifest(experiments=["other000"]))[0][1])
    )


def test_a_stranger_borrows_nothing(parent: Experiment) -> None:
    class Nobody:
        is_authenticated = False

    with pytest.raises(ProblemsError, match="There is no experiment 'parent00'"):
        borrowing.borrowed(parse_manifest(manifest()).spec, Nobody())


def test_what_will_not_learn_or_lies_outside_is_foretold(parent: Experiment) -> None:
    warned = [p.message for p in take_in(manifest()).warnings if p.path == "spec.warmStart"]
    assert warned == ["Borrowed 15 of 20 trials of parent (parent00); 5 outside: units > 64."]
    data = manifest()
    data["spec"] = {**data["spec"], "tuner": {"builtinTunerName": "Random"}}
    assert "Random does not learn from trials: earlier ones change nothing." in [
        p.message for p in take_in(data).warnings
    ]
    Trial.objects.all().delete()
    assert "No trial of parent (parent00) can be borrowed." in [
        p.message for p in take_in(manifest()).warnings
    ]


def test_a_clone_learns_from_its_parent(parent: Experiment, client: Client) -> None:
    route = "/api/v1/experiments/parent00/clone/"
    answer = client.post(route, {"warm_start": "top 5"}, content_type="application/json")
    assert answer.status_code == 201
    copy = Experiment.objects.get(pk=answer.json()["id"])
    assert copy.manifest["spec"]["warmStart"] == {"experiments": ["parent00"], "trials": "top 5"}
    (row,) = copy.warm_starts.all()
    assert row.n_offered == 5
    answer = client.post(route, {"warm_start": "some"}, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "spec.warmStart.trials"
    told_of = client.get(f"/api/v1/experiments/{copy.pk}/borrowed/").json()["experiments"]
    assert (told_of[0]["id"], told_of[0]["borrowed"], told_of[0]["is_there"]) == (
        "parent00", len(row.trials), True,
    )  # fmt: skip
