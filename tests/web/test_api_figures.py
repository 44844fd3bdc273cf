"""REST: charts and events of an experiment, and the algorithms there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from experiments.models import Metric, Trial
from experiments.selectors import chart_data
from experiments.states import TrialState
from tests.web.rest import errors, url


def test_a_chart_is_a_plotly_figure_and_304_until_there_is_news(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment()
    trial: Trial = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5)
    first = client.get(url(experiment, "charts/history/"))
    assert first.status_code == 200
    assert {"data", "layout"} <= set(first.json())
    tag = {"If-None-Match": first["ETag"]}
    assert client.get(url(experiment, "charts/history/"), headers=tag).status_code == 304
    # Another chart, or the same with another option, is not what the browser has.
    assert client.get(url(experiment, "charts/duration/"), headers=tag).status_code == 200
    experiment.record("remark", trial=trial)
    again = client.get(url(experiment, "charts/history/"), headers=tag)
    assert again.status_code == 200
    assert again["ETag"] != first["ETag"]


def test_a_figure_holds_exactly_the_reports_up_to_its_cursor(
    make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment()
    trial: Trial = make_trial(experiment, state=TrialState.RUNNING)
    reports = [
        Metric(
            trial=trial, experiment=experiment, kind="PERIODICAL", sequence=sequence,
            value=0.1 * (sequence + 1), time=timezone.now(), seq=sequence + 1,
        )
        for sequence in (0, 1)
    ]  # fmt: skip
    Metric.objects.bulk_create(reports)
    experiment.last_seq = 1  # the second one came between reading the head and reading the rows
    figure = chart_data.figure(experiment, "curves", {})
    assert figure["data"][0]["y"] == [0.1]
    assert figure["layout"]["meta"]["seq"] == experiment.last_seq
    moves = figure["layout"]["meta"]["redrawn_at"]
    assert ("RUNNING", "SUCCEEDED") in moves
    assert ("WAITING", "RUNNING") not in moves


def test_an_unknown_chart_is_404_and_names_the_near_one(
    client: Client, make_experiment: Any
) -> None:
    response = client.get(url(make_experiment(), "charts/histroy/"))
    assert response.status_code == 404
    assert "Did you mean 'history'?" in errors(response)[""]


def test_events_come_in_order_after_a_cursor(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment()
    trial = make_trial(experiment)
    for index in range(4):
        experiment.record("remark", trial=trial if index == 2 else None, reason=f"number {index}")
    found = client.get(url(experiment, "events/"), {"after": 2}).json()
    assert found["count"] == 2
    assert [event["seq"] for event in found["results"]] == [3, 4]
    assert [event["trial"] for event in found["results"]] == [trial.number, None]
    of_trial = client.get(url(experiment, "events/"), {"trial": trial.number}).json()
    assert [event["reason"] for event in of_trial["results"]] == ["number 2"]
    bad = client.get(url(experiment, "events/"), {"after": "-1"})
    assert list(errors(bad)) == ["after"]


def test_events_cost_a_fixed_number_of_queries(
    client: Client, make_experiment: Any, make_trial: Any, django_assert_max_num_queries: Any
) -> None:
    experiment = make_experiment()
    for _ in range(20):
        experiment.record("remark", trial=make_trial(experiment))
    with django_assert_max_num_queries(5):
        client.get(url(experiment, "events/"))


def test_the_algorithms_describe_themselves_for_forms(client: Client) -> None:
    answer = client.get("/api/v1/algorithms/").json()
    tuners = {tuner["name"]: tuner for tuner in answer["tuners"]}
    assert tuners["TPE"]["available"] is True
    assert tuners["GridSearch"]["types"]
    names = [setting["name"] for setting in tuners["TPE"]["settings"]]
    assert "optimize_mode" in names
    assert {"tuners", "assessors", "advisors"} == set(answer)
    assert client.post("/api/v1/algorithms/").status_code == 405


def test_another_language_is_another_figure(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    """A browser that has the English one must not be told that nothing has changed."""
    experiment = make_experiment()
    make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5)
    first = client.get(url(experiment, "charts/edf/"))
    chinese = {"If-None-Match": first["ETag"], "Accept-Language": "zh-CN"}
    again = client.get(url(experiment, "charts/edf/"), headers=chinese)
    assert again.status_code == 200
    assert first.json()["layout"]["meta"]["note"] == "Trials: 1."
    assert again.json()["layout"]["meta"]["note"] == "试验数：1。"


def test_slots_know_when_each_trial_reported_for_the_first_time(
    make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment()
    start = timezone.now() - timedelta(minutes=5)
    times = {"created_at": start, "started_at": start, "finished_at": start + timedelta(minutes=2)}
    reporting: Trial = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5, **times)
    make_trial(experiment, state=TrialState.FAILED, **times)
    for sequence, name, after_s in ((0, "loss", 31), (0, "default", 30), (1, "default", 60)):
        Metric.objects.create(
            trial=reporting, experiment=experiment, kind=Metric.Kind.PERIODICAL, name=name,
            sequence=sequence, value=0.1, time=start + timedelta(seconds=after_s), seq=1,
        )  # fmt: skip
    figure = chart_data.figure(experiment, "slots", {})
    (start_up,) = [t for t in figure["data"] if t["uid"] == "start-up"]
    assert (start_up["customdata"], start_up["x"]) == ([0], [30_000])
