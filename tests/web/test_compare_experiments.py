"""Experiments side by side: the page, its REST answer and charts, and who may see which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.access import policy
from experiments.models import Experiment, Trial
from experiments.rest.comparing import AcrossShape
from experiments.selectors import across
from experiments.services import actions
from experiments.trials.changes import update_best
from tests.web.rest import LIST, errors
from tests.web.test_compare_trials import by_name
from tests.web.test_pages_detail import NASTY, state_of

PAGE = "/experiments/compare/"
API = f"{LIST}compare/"


def chart(kind: str) -> str:
    return f"{API}charts/{kind}/"


@pytest.fixture
def pair(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> list[Experiment]:
    """Two that differ in space, tuner, limits and best parameters."""
    start = timezone.now() - timedelta(hours=1)
    nested = {"_type": "choice", "_value": ["sgd", {"_name": "adam", "beta": {
        "_type": "uniform", "_value": [0.8, 1]}}]}  # fmt: skip
    first = make_experiment(
        {"searchSpace": {"lr": {"_type": "uniform", "_value": [0, 1]}, "opt": nested},
         "tuner": {"builtinTunerName": "TPE", "classArgs": {"optimize_mode": "maximize"}}},
        name="first", started_at=start, max_trials=9,
    )  # fmt: skip
    second = make_experiment(
        {"searchSpace": {"lr": {"_type": "uniform", "_value": [0, 2]}, "opt": nested}},
        name="runner-up", started_at=start,
    )  # fmt: skip
    for experiment, values in ((first, [0.5, None, 0.9]), (second, [0.2, 0.4])):
        for number, value in enumerate(values):
            make_trial(
                experiment,
                state="FAILED" if value is None else "SUCCEEDED",
                value=value,
                parameters={"lr": number / 10, "opt": {"_name": "adam", "beta": 0.9}},
                finished_at=start + timedelta(minutes=number + 1),
            )
        update_best(experiment)
    return [first, second]


def ids(experiments: list[Experiment]) -> str:
    return ",".join(experiment.pk for experiment in experiments)


def test_the_answer_sets_settings_spaces_and_bests_side_by_side(
    client: Client, pair: list[Experiment]
) -> None:
    first, second = pair
    answer = client.get(API, {"ids": ids(pair)}).json()
    assert set(answer) == set(AcrossShape().fields)
    assert set(answer["experiments"][0]) == set(AcrossShape().fields["experiments"].child.fields)
    assert [e["name"] for e in answer["experiments"]] == ["first", "runner-up"]
    assert answer["mixed"] is False
    space = by_name(answer["space"])
    assert space["lr"]["values"] == {first.pk: "uniform [0, 1]", second.pk: "uniform [0, 2]"}
    assert space["opt"]["values"][first.pk] == 'choice ["sgd", "adam"]'
    assert not space["opt"]["differs"]
    assert "opt.beta" in space
    settings = by_name(answer["settings"])
    assert settings["tuner"]["values"] == {first.pk: "TPE", second.pk: "Random"}
    assert settings["maxTrialNum"]["values"][first.pk] == 9  # today's, not the manifest's
    best = by_name(answer["best_parameters"])
    assert best["lr"]["values"] == {first.pk: 0.2, second.pk: 0.1}
    assert best["opt.beta"]["differs"] is False


def test_one_without_a_best_makes_no_difference_of_the_others(
    client: Client, pair: list[Experiment], make_experiment: Callable[..., Experiment]
) -> None:
    answer = client.get(API, {"ids": ids([*pair, make_experiment()])}).json()
    assert by_name(answer["best_parameters"])["opt"]["differs"] is False


def test_the_charts_read_what_ended_and_follow_the_news(
    client: Client, pair: list[Experiment]
) -> None:
    first = pair[0]
    drawn = client.get(chart("best"), {"ids": ids(pair)}).json()
    assert [t["y"] for t in drawn["data"]] == [[0.5, 0.9], [0.2, 0.4]]
    by_time = client.get(chart("best"), {"ids": ids(pair), "x": "time"}).json()
    assert by_time["data"][0]["x"] == pytest.approx([1.0, 3.0])  # minutes
    edf = client.get(chart("edf"), {"ids": ids(pair)}).json()
    assert edf["data"][0]["x"] == [0.9, 0.5]
    actions.set_excluded(first.trials.get(number=2), True)
    drawn = client.get(chart("best"), {"ids": ids(pair)}).json()
    assert drawn["data"][0]["y"] == [0.5, 0.5]
    assert client.get(chart("best"), {"ids": ids(pair), "y": "x"}).status_code == 400
    unknown = client.get(chart("bset"), {"ids": ids(pair)})
    assert unknown.status_code == 404
    assert "Did you mean 'best'?" in errors(unknown)[""]


def test_mixed_directions_are_said_on_the_page(client: Client, pair: list[Experiment]) -> None:
    assert "across-mixed" not in client.get(PAGE, {"ids": ids(pair)}).content.decode()
    Experiment.objects.filter(pk=pair[1].pk).update(optimize_mode="minimize")
    html = client.get(PAGE, {"ids": ids(pair)}).content.decode()
    assert 'data-testid="across-mixed"' in html
    assert state_of(html)["mixed"] is True


def test_ten_take_as_many_queries_as_two(
    client: Client, pair: list[Experiment], make_experiment: Callable[..., Experiment]
) -> None:
    many = [*pair, *(make_experiment() for _ in range(8))]

    def n_queries(path: str, experiments: list[Experiment]) -> int:
        across.forget()
        with CaptureQueriesContext(connection) as found:
            assert client.get(path, {"ids": ids(experiments)}).status_code == 200
        return len(found)

    for path in (PAGE, chart("best")):
        assert n_queries(path, many) == n_queries(path, pair)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("", "must name 2 to 10 different experiments, but got 0."),
        ("{0}", "must name 2 to 10 different experiments, but got 1."),
        ("{0},{0}", "must name 2 to 10 different experiments, but got 1."),
        (",".join(f"a{n}" for n in range(11)), "but got 11."),
        ("{0},UPPER", "must be ids of experiments with commas between them, but got 'UPPER'."),
        ("{0},<script>", "but got '<script>'."),
    ],
)
def test_an_address_that_names_the_wrong_ones_is_told_what_must_hold(
    client: Client, pair: list[Experiment], asked: str, words: str
) -> None:
    asked = asked.replace("{0}", pair[0].pk)
    answer = client.get(PAGE, {"ids": asked})
    assert answer.status_code == 400
    html = answer.content.decode()
    assert words.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;") in html
    assert 'data-testid="compare-refused"' in html
    for path in (API, chart("edf")):
        refused = client.get(path, {"ids": asked})
        assert refused.status_code == 400
        assert words in errors(refused)["ids"]


def test_what_one_may_not_see_is_not_there(
    client: Client, stranger: Client, pair: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"ids": ids(pair)}
    assert stranger.get(PAGE, asked).status_code == 302
    assert stranger.get(API, asked).status_code == 401
    only = Experiment.objects.filter(pk=pair[0].pk).select_related("best_trial", "project")
    monkeypatch.setattr(policy, "visible_experiments", lambda user: only)
    for path in (PAGE, API, chart("best")):
        answer = client.get(path, asked)
        assert answer.status_code == 404
        text = answer.content.decode()
        assert pair[1].pk in text  # as it was asked for
        assert "runner-up" not in text
    unknown = client.get(API, {"ids": f"{pair[0].pk},zzzzzzzz"})
    assert errors(unknown)[""] == "No experiment 'zzzzzzzz'."


def test_what_users_wrote_is_never_markup(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    nasty = [
        make_experiment({"searchSpace": {NASTY: {"_type": "choice", "_value": [NASTY]}}},
                        name=NASTY[:60])
        for _ in range(2)
    ]  # fmt: skip
    html = client.get(PAGE, {"ids": ids(nasty)}).content.decode()
    assert "<script>alert" not in html
    assert state_of(html)["experiments"][0]["name"] == NASTY[:60]
