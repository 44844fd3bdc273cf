"""REST: is the best really the best, and running parameters again to find out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Trial
from experiments.rest.winner import ContenderShape, OutlookShape, WinnerShape
from experiments.selectors.winner import keys as keys_of
from experiments.states import Phase, TrialState


@pytest.fixture
def ended(make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]) -> Any:
    """Done, with trials of these values, each with parameters of its own."""

    def make(*values: float, **columns: Any) -> Experiment:
        experiment = make_experiment(phase=Phase.DONE, max_trials=max(1, len(values)), **columns)
        for place, value in enumerate(values):
            well(experiment, make_trial, value, place)
        return experiment

    return make


def well(
    experiment: Experiment, make_trial: Callable[..., Trial], value: float, place: int, **more: Any
) -> Trial:
    start = timezone.now()
    return make_trial(
        experiment, state=TrialState.SUCCEEDED, value=value, parameters={"lr": place, "units": 16},
        started_at=start, finished_at=start + timedelta(seconds=10), **more,
    )  # fmt: skip


def winner(client: Client, experiment: Experiment) -> Any:
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/winner/")
    assert answer.status_code == 200
    return answer.json()


def repeat(client: Client, experiment: Experiment, query: str = "", **body: Any) -> Any:
    return client.post(
        f"/api/v1/experiments/{experiment.pk}/trials/repeat/{query}", json.dumps(body),
        content_type="application/json",
    )  # fmt: skip


def test_what_ran_once_is_not_judged_and_a_repeat_is(
    client: Client, ended: Any, make_trial: Callable[..., Trial]
) -> None:
    experiment = ended(0.5, 0.9, 0.8, optimize_mode="maximize")
    told = winner(client, experiment)
    assert set(told) == set(WinnerShape().fields)
    assert set(told["contenders"][0]) == set(ContenderShape().fields)
    assert (told["verdict"], told["gap"], told["noise"]) == (
        "not_repeated", pytest.approx(0.1), None,
    )  # fmt: skip
    assert [c["trial"] for c in told["contenders"]] == [1, 2, 0]
    assert told["seconds_each"] == 10
    for value in (0.7, 0.71, 0.69):
        well(experiment, make_trial, value, 1, origin="repeat")
    for value in (0.8, 0.79, 0.81):
        well(experiment, make_trial, value, 2, origin="repeat")
    experiment.announce()
    told = winner(client, experiment)
    assert (told["verdict"], told["likeliest"]) == ("lucky", 2)
    assert told["contenders"][0]["again"] == [3, 4, 5]
    assert told["contenders"][0]["mean"] == pytest.approx(0.7)
    assert told["contenders"][1]["chance"] > 0.95


def test_excluded_and_failed_trials_are_no_winners(
    client: Client, ended: Any, make_trial: Callable[..., Trial]
) -> None:
    experiment = ended(0.9, 0.5, optimize_mode="maximize")
    experiment.trials.filter(number=0).update(excluded=True)
    make_trial(experiment, state=TrialState.FAILED, parameters={"lr": 1, "units": 16})
    told = winner(client, experiment)
    assert [(c["trial"], c["n_failed"]) for c in told["contenders"]] == [(1, 1)]


def test_the_outlook_is_of_the_trials_that_are_left(client: Client, ended: Any) -> None:
    values = [0.1 + 0.01 * ((7 * n) % 30) for n in range(30)]
    done = winner(client, ended(*values, optimize_mode="maximize"))["outlook"]
    assert set(done) == set(OutlookShape().fields)
    assert (done["n_more"], done["as_many_again"]) == (30, True)
    running = ended(*values, optimize_mode="maximize")
    Experiment.objects.filter(pk=running.pk).update(phase=Phase.RUNNING, max_trials=36)
    left = winner(client, running)["outlook"]
    assert (left["n_more"], left["as_many_again"]) == (6, False)
    assert left["chance"] < done["chance"]
    assert winner(client, ended(*values[:10]))["outlook"] is None


def test_parameters_run_again_on_top_of_the_budget(client: Client, ended: Any) -> None:
    experiment = ended(0.5, 0.9, 0.8, optimize_mode="maximize")
    answer = repeat(client, experiment, trials=[1, 2], times=2)
    assert answer.status_code == 201
    assert answer.json() == {"count": 4, "trials": [3, 4, 5, 6]}
    experiment.refresh_from_db()
    assert (experiment.phase, experiment.max_trials) == (Phase.RUNNING, 7)
    made = experiment.trials.filter(number__gte=3).order_by("number")
    assert [t.parameters["lr"] for t in made] == [1, 2, 1, 2]
    assert {t.origin for t in made} == {"repeat"}
    assert experiment.events.filter(trial__number=4).first().reason == "Repeats trial 2."
    # the same parameters count once, trials without a result not at all
    assert repeat(client, experiment, trials=[1, 3], times=1).json()["count"] == 1
    assert repeat(client, experiment, "?where=origin+%3D+repeat", times=1).json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"trials": [1], "times": 0}, "times"),
        ({"trials": [1], "times": 51}, "times"),
        ({"trials": [0, 1, 2, 3, 4], "times": 41}, "times"),
        ({"times": 2}, "trials"),
        ({"trials": [99]}, "trials"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    client: Client, ended: Any, body: Any, field: str
) -> None:
    experiment = ended(0.1, 0.2, 0.3, 0.4, 0.5)
    answer = repeat(client, experiment, **body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, field)
    assert experiment.trials.count() == 5


def test_an_experiment_out_of_time_takes_no_repeats(client: Client, ended: Any) -> None:
    experiment = ended(0.1, 0.2)
    Experiment.objects.filter(pk=experiment.pk).update(phase=Phase.TIMEOUT)
    assert repeat(client, experiment, trials=[1]).status_code == 409


def test_parameters_are_the_same_as_json_and_only_there() -> None:
    nested = {"opt": {"_name": "adam", "lr": 0.1}}
    each: list[dict[str, Any]] = [
        {"a": 1, "b": "x"}, {"b": "x", "a": 1}, {"a": 1.0, "b": "x"}, {"a": True, "b": "x"},
        {"a": 1}, nested, {"opt": {"lr": 0.1, "_name": "adam"}}, {"opt": {"lr": 0.1}},
    ]  # fmt: skip
    keys = keys_of(each)
    texts = [json.dumps(parameters, sort_keys=True) for parameters in each]
    for one, text in zip(keys, texts, strict=True):
        assert [key == one for key in keys] == [other == text for other in texts]
