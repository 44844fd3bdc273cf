"""Trials side by side: the page, its REST answer, and addresses that name the wrong ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.access import policy
from experiments.models import Experiment, Metric, Trial
from experiments.rest.comparing import ComparisonShape
from experiments.selectors.differences import diff_rows
from tests.web.rest import errors, url
from tests.web.test_pages_detail import NASTY, report, state_of


def page(experiment: Experiment, trials: str) -> str:
    return f"/experiments/{experiment.pk}/compare/?trials={trials}"


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(phase="RUNNING", started_at=timezone.now(), clock_at=timezone.now())


@pytest.fixture
def nested(experiment: Experiment, make_trial: Callable[..., Trial]) -> list[Trial]:
    """Three that differ in a branch, in what they report and in how they ended."""
    adam = {"lr": 0.1, "opt": {"_name": "adam", "beta": 0.9}, "units": 32}
    sgd = {"lr": 0.1, "opt": {"_name": "sgd"}, "units": 64}
    return [
        make_trial(experiment, parameters=adam, state="SUCCEEDED", value=0.8, has_final=True,
                   metrics={"default": 0.8, "f1": 0.7}),
        make_trial(experiment, parameters=sgd, state="SUCCEEDED", value=0.9, has_final=True,
                   metrics={"default": 0.9, "f1": "NaN"}),
        make_trial(experiment, parameters=adam, state="RUNNING", latest_value=0.5,
                   latest_sequence=0, n_reports=1, started_at=timezone.now()),
    ]  # fmt: skip


# ---- what differs (pure)


def test_rows_differ_where_a_column_says_otherwise_or_nothing() -> None:
    rows = diff_rows({"a": {"lr": 1, "x": 2.0, "opt.lr": 3}, "b": {"lr": 5, "x": 2, "opt": "sgd"}})
    assert {row.name: row.differs for row in rows} == {
        "lr": True, "x": False, "opt": True, "opt.lr": True,
    }  # fmt: skip
    assert [row.name for row in rows] == ["lr", "x", "opt", "opt.lr"]  # nested ones below their own
    assert rows[3].values == {"a": 3}


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (1, 1.0, False), (True, 1, True), ("1", 1, True), (None, None, False), (None, 0, True),
        ([1, 2], [1, 2], False), (2**53 + 1, 2**53, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ],
)  # fmt: skip
def test_equal_is_what_a_person_takes_for_equal(one: Any, other: Any, differs: bool) -> None:
    (row,) = diff_rows({"a": {"p": one}, "b": {"p": other}})
    assert row.differs is differs


def test_odd_names_are_rows_as_well() -> None:
    rows = diff_rows({"a": {"": 1, ".": 2, "a..b": 3}, "b": {"": 1}})
    assert {row.name for row in rows} == {"", ".", "a..b"}


# ---- the answer


def test_the_answer_tells_best_delta_and_differences(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    answer = client.get(url(experiment, "compare/"), {"trials": "2,1,0"}).json()
    assert set(answer) == set(ComparisonShape().fields)
    assert set(answer["trials"][0]) == set(ComparisonShape().fields["trials"].child.fields)
    assert [t["number"] for t in answer["trials"]] == [2, 1, 0]  # as the address has them
    assert answer["best"] == 1
    deltas = {t["number"]: t["delta"] for t in answer["trials"]}
    assert deltas == {0: pytest.approx(-0.1), 1: 0.0, 2: pytest.approx(-0.4)}  # latest of a running
    parameters = by_name(answer["parameters"])
    assert {name: row["differs"] for name, row in parameters.items()} == {
        "lr": False, "opt": True, "opt.beta": True, "units": True,
    }  # fmt: skip
    assert parameters["opt.beta"]["values"] == {"0": 0.9, "2": 0.9}
    assert by_name(answer["metrics"])["f1"]["values"] == {"0": 0.7, "1": "NaN"}


def test_what_a_running_trial_reported_last_stands_for_its_final_metric(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    report(nested[0], [0.1, 0.2], name="f1")  # has a final one: that counts
    report(nested[2], [0.3, None], name="f1")
    answer = client.get(url(experiment, "compare/"), {"trials": "0,1,2"}).json()
    (row,) = answer["metrics"]
    assert row["values"] == {"0": 0.7, "1": "NaN", "2": "NaN"}
    assert row["latest"] == [2]


def test_of_a_running_trial_the_newest_report_is_shown_each_time(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    shown = []
    for values in ([0.1], [0.1, 0.2]):
        report(nested[2], values, name="loss")
        answer = client.get(url(experiment, "compare/"), {"trials": "0,2"}).json()
        shown.append(by_name(answer["metrics"])["loss"]["values"])
    assert shown == [{"2": 0.1}, {"2": 0.2}]


def test_a_time_axis_counts_from_each_trial_s_first_report(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    start = timezone.now()
    for trial in nested[:2]:
        report(trial, [0.1, 0.2])
        for number, metric in enumerate(Metric.objects.filter(trial=trial).order_by("sequence")):
            metric.time = start + timedelta(seconds=100 * trial.number + 7 * number)
            metric.save()
    asked = {"trials": "0,1", "x": "time"}
    figure = client.get(url(experiment, "compare/curves/"), asked).json()
    assert [trace["x"] for trace in figure["data"]] == [[0.0, 7.0], [0.0, 7.0]]
    starts = [trace["meta"]["start"] for trace in figure["data"]]
    assert starts[1] - starts[0] == pytest.approx(100)


@pytest.mark.parametrize(("mode", "best"), [("maximize", 1), ("minimize", 0)])
def test_the_best_follows_the_direction_and_excluded_trials_are_none(
    client: Client, experiment: Experiment, nested: list[Trial], mode: str, best: int
) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(optimize_mode=mode)
    ask = lambda: client.get(url(experiment, "compare/"), {"trials": "0,1,2"}).json()  # noqa: E731
    assert ask()["best"] == best
    Trial.objects.filter(experiment=experiment, number=best).update(excluded=True)
    assert ask()["best"] == 1 - best


def test_the_curves_are_those_of_the_named_trials(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    for trial in nested:
        report(trial, [0.1, 0.2, 0.3])
    report(nested[1], [9.0], name="loss")
    experiment.refresh_from_db()
    ask = {"trials": "0,1"}
    figure = client.get(url(experiment, "compare/curves/"), ask).json()
    assert [t["meta"]["trial"] for t in figure["data"]] == [0, 1]
    meta = figure["layout"]["meta"]
    assert meta["metrics"] == ["default", "loss"]
    assert meta["seq"] == experiment.last_seq
    assert ["RUNNING", "SUCCEEDED"] in meta["redrawn_at"]
    loss = client.get(url(experiment, "compare/curves/"), {**ask, "metric": "loss"}).json()
    assert [t["y"] for t in loss["data"]] == [[9.0]]
    assert client.get(url(experiment, "compare/curves/"), {**ask, "x": "w"}).status_code == 400


def test_queries_do_not_grow_with_trials_or_reports(
    client: Client,
    experiment: Experiment,
    make_trial: Callable[..., Trial],
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(20):
        report(make_trial(experiment, state="SUCCEEDED", value=0.5), [0.1, 0.2], name="loss")
    numbers = ",".join(map(str, range(20)))
    with django_assert_max_num_queries(10):
        assert client.get(page(experiment, numbers)).status_code == 200


# ---- the page


def test_the_page_starts_from_the_same_answer(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    html = client.get(page(experiment, "0,%202,0")).content.decode()  # a space, one twice
    state = state_of(html)
    answer = client.get(url(experiment, "compare/"), {"trials": "0,2"}).json()
    for comparison in (state["comparison"], answer):  # one of them runs: time goes on
        for trial in comparison["trials"]:
            trial.pop("duration")
    assert state["comparison"] == answer
    assert 'data-trials="0,2"' in html
    assert 'data-testid="chart-overlay"' in html


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ("", "must name 2 to 20 different trials, but got 0."),
        ("1", "must name 2 to 20 different trials, but got 1."),
        ("1,1", "must name 2 to 20 different trials, but got 1."),
        (",".join(map(str, range(21))), "must name 2 to 20 different trials, but got 21."),
        ("0,77,78", "but it has no trials 77, 78."),
        ("0,x", "must be numbers of trials with commas between them, but got 'x'."),
        ("0,-1", "but got '-1'."),
        ("0,99999999999999999999", "but got '99999999999999999999'."),
        ("0,%00", r"but got '\x00'."),
        ("0,٣", "but got '٣'."),
        ("0,<script>", "but got '<script>'."),
    ],
)
def test_an_address_that_names_the_wrong_ones_is_told_what_must_hold(
    client: Client, experiment: Experiment, nested: list[Trial], trials: str, words: str
) -> None:
    answer = client.get(page(experiment, trials))
    assert answer.status_code == 400
    html = answer.content.decode()
    assert 'data-testid="compare-refused"' in html
    escaped = words.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;")
    assert escaped in html
    assert "<script>'" not in html
    for path in ("compare/", "compare/curves/"):
        refused = client.get(f"{url(experiment, path)}?trials={trials}")
        assert refused.status_code == 400
        if "%00" not in trials:  # REST refuses it earlier, in other words
            assert words in errors(refused)["trials"]


def test_an_unknown_field_of_the_query_is_named(
    client: Client, experiment: Experiment, nested: list[Trial]
) -> None:
    refused = client.get(url(experiment, "compare/"), {"trial": "0,1"})
    assert refused.status_code == 400
    assert "trial" in errors(refused)


def test_what_users_wrote_is_never_markup(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    for value in (NASTY, 1):
        trial = make_trial(experiment, parameters={NASTY: value}, reason=NASTY, state="FAILED")
        report(trial, [0.1], name=NASTY)
    html = client.get(page(experiment, "0,1")).content.decode()
    assert "<script>alert" not in html
    parameters = by_name(state_of(html)["comparison"]["parameters"])
    assert parameters[NASTY]["values"]["0"] == NASTY
    figure = client.get(url(experiment, "compare/curves/"), {"trials": "0,1", "metric": NASTY})
    assert "<script>" not in json.dumps(figure.json()["layout"]["yaxis"])


def test_who_may_not_see_it_gets_404_and_a_stranger_is_sent_to_sign_in(
    client: Client, stranger: Client, experiment: Experiment, nested: list[Trial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sent = stranger.get(page(experiment, "0,1"))
    assert sent.status_code == 302
    assert re.match(r"/sign-in/\?next=/experiments/\w+/compare/", sent["Location"])
    assert stranger.get(url(experiment, "compare/")).status_code == 401
    monkeypatch.setattr(policy, "visible_experiments", lambda user: Experiment.objects.none())
    for path in (page(experiment, "0,1"), page(experiment, "x"), url(experiment, "compare/"),
                 url(experiment, "compare/curves/")):  # fmt: skip
        assert client.get(path).status_code == 404, path


def test_trials_of_another_experiment_are_none_of_it(
    client: Client, experiment: Experiment, nested: list[Trial],
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial],
) -> None:  # fmt: skip
    other = make_experiment()
    make_trial(other, number=0)
    make_trial(other, number=40)
    assert client.get(page(experiment, "0,40")).status_code == 400
    assert Metric.objects.count() == 0
