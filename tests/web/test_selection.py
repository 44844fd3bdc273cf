"""One selection for table, charts and files; and views of it that have names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.charts import CHARTS
from experiments.models import Experiment, SavedView, Trial
from experiments.selectors import selection
from experiments.services import actions
from experiments.states import Phase
from tests.web.rest import errors, patch, post, trials_url, url


def listed(client: Client, experiment: Experiment, query: dict[str, Any]) -> list[int]:
    response = client.get(trials_url(experiment), query)
    assert response.status_code == 200, response.content
    return [trial["number"] for trial in response.json()["results"]]


def exported(client: Client, experiment: Experiment, kind: str, query: dict[str, Any]) -> list[int]:
    response = client.get(url(experiment, "export/"), {"format": kind, **query})
    content: bytes = getattr(response, "streaming_content", None) or response.content
    text = (content if isinstance(content, bytes) else b"".join(content)).decode()
    if kind == "csv":
        return [int(row["number"]) for row in csv.DictReader(io.StringIO(text))]
    return [trial["number"] for trial in json.loads(text)["trials"]]


def drawn(client: Client, experiment: Experiment, query: dict[str, Any]) -> list[int]:
    """Those of the history, which leaves out what waits."""
    figure = client.get(url(experiment, "charts/history/"), query).json()
    assert figure["layout"]["meta"]["selected"] is bool(query)
    return sorted({n for trace in figure["data"] for n in trace.get("customdata", ())})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"state": "SUCCEEDED"}, [0, 1]),
        ({"where": "param:lr < 0.2 and opt = adam"}, [1, 2]),
        ({"ticked": "1-2,0,9"}, [0, 1, 2]),
        ({"ticked": "0-2", "where": "lr < 0.2", "state": "SUCCEEDED,WAITING"}, [1]),
        ({"where": "number in (0-1, 3)"}, [0, 1, 3]),
        ({"where": "reason ~ memory or origin = model"}, [0, 2]),
        ({"where": "metric:f1 < 1"}, [0]),
        ({"where": "f1 < 1"}, [0]),  # neither of the space nor a field
        ({"where": "opt != sgd"}, [1, 2]),
    ],
    ids=str,
)
def test_table_charts_and_files_obey_one_selection(
    client: Client, experiment: Experiment, four: list[Trial], query: Any, expected: list[int]
) -> None:
    Trial.objects.filter(pk=four[2].pk).update(reason="CUDA out of memory")
    Trial.objects.filter(pk=four[0].pk).update(origin="model")
    assert listed(client, experiment, query) == expected
    assert exported(client, experiment, "csv", query) == expected
    assert exported(client, experiment, "json", query) == expected
    assert drawn(client, experiment, query) == [n for n in expected if n != 3]  # it waits


@pytest.mark.parametrize("kind", sorted(CHARTS))
def test_a_chart_of_no_selected_trial_says_so(
    client: Client, experiment: Experiment, four: list[Trial], kind: str
) -> None:
    figure = client.get(url(experiment, f"charts/{kind}/"), {"where": "number = 99"}).json()
    assert figure["layout"]["meta"]["empty"] == "No trial is selected."
    assert figure["layout"]["meta"]["selected"]


def test_many_selected_trials_are_picked_from_all(
    client: Client, experiment: Experiment, four: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "FEW", 1)
    assert drawn(client, experiment, {"where": "lr < 0.2"}) == [1, 2]
    assert exported(client, experiment, "csv", {"where": "lr < 0.2"}) == [1, 2, 3]


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DONE])
def test_a_selection_of_no_trial_is_drawn_and_exported_too(
    client: Client, experiment: Experiment, four: list[Trial], phase: Phase
) -> None:
    """Of a running experiment it was an error: the database is not asked for the rows of no key."""
    Experiment.objects.filter(pk=experiment.pk).update(phase=phase)
    query = {"where": "lr > 5"}
    assert listed(client, experiment, query) == []
    assert exported(client, experiment, "csv", query) == []
    assert exported(client, experiment, "json", query) == []
    for kind in CHARTS:
        figure = client.get(url(experiment, f"charts/{kind}/"), query)
        assert figure.status_code == 200, kind
        assert figure.json()["layout"]["meta"]["selected"] is True
        assert client.get(url(experiment, f"charts/{kind}/table/"), query).status_code == 200


@pytest.mark.parametrize("route", ["trials/", "charts/history/", "export/"])
@pytest.mark.parametrize(
    ("query", "path", "words"),
    [
        ({"state": "ASLEEP"}, "state", "ASLEEP"),
        ({"where": "lrr < 1"}, "where", "'lrr'"),
        ({"where": "started_at > soon"}, "where", "a time, but got 'soon' at character 14"),
        ({"ticked": "3-x"}, "ticked", "3-x"),
        ({"ticked": ",".join(map(str, range(0, 1100, 2)))}, "ticked", "but got 550"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_makes_no_sense_is_said_by_field_everywhere(
    client: Client, experiment: Experiment, route: str, query: Any, path: str, words: str
) -> None:
    response = client.get(url(experiment, route), query)
    assert response.status_code == 400
    found = errors(response)
    assert next(iter(found)).startswith(path)
    assert words in next(iter(found.values()))


def test_a_page_to_keep_has_every_trial(client: Client, experiment: Experiment) -> None:
    refused = client.get(url(experiment, "export/"), {"format": "html", "ticked": "1"})
    assert "every trial" in errors(refused)["format"]


def test_times_are_conditions_in_utc(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    now = timezone.now()
    for trial, minutes in zip(four[:3], (50, 30, 10), strict=True):
        started = now - timedelta(minutes=minutes)
        Trial.objects.filter(pk=trial.pk).update(started_at=started)
    half = now - timedelta(minutes=40)
    later = {"where": f'started_at >= "{half.strftime("%Y-%m-%d %H:%M:%S")}"'}
    assert listed(client, experiment, later) == [1, 2]
    assert listed(client, experiment, {"where": f"started_at < {half.isoformat()}"}) == [0]
    assert listed(client, experiment, {"where": "started_at = none"}) == [3]


def test_a_change_is_seen_though_answers_are_kept(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    query = {"where": "excluded = true"}
    assert listed(client, experiment, query) == []
    actions.set_excluded(four[1], True)
    assert listed(client, experiment, query) == [1]


def test_a_parameter_beyond_the_space_is_known(
    client: Client, experiment: Experiment, four: list[Trial], make_trial: Any
) -> None:
    make_trial(experiment, parameters={"lr": 0.1, "extra": 5})
    assert listed(client, experiment, {"where": "extra = 5"}) == [4]
    assert listed(client, experiment, {"where": "param:extra > 4", "order": "extra"}) == [4]


def test_the_page_of_a_trial_is_found_in_any_order(
    client: Client, experiment: Experiment, make_trial: Callable[..., Trial]
) -> None:
    for n in range(7):
        make_trial(experiment, parameters={"lr": 1.0 / (n + 1)})
    query = {"order": "lr", "page_size": 2, "at": 1}  # by lr: 6 5 | 4 3 | 2 1 | 0
    answer = client.get(trials_url(experiment), query).json()
    assert (answer["page"], [t["number"] for t in answer["results"]]) == (3, [2, 1])
    assert "page=4" in answer["next"]
    plain = client.get(trials_url(experiment), {"page": 2, "page_size": 3}).json()
    assert plain["page"] == 2
    for query in ({"at": 99}, {"at": 0, "where": "lr < 0.5"}):
        assert (
            "is not among these trials" in errors(client.get(trials_url(experiment), query))["at"]
        )


def test_another_selection_is_another_answer(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    one = client.get(url(experiment, "charts/history/"), {"ticked": "0"})
    headers = {"If-None-Match": one["ETag"]}
    again = client.get(url(experiment, "charts/history/"), {"ticked": "0"}, headers=headers)
    other = client.get(url(experiment, "charts/history/"), {"ticked": "1"}, headers=headers)
    assert (again.status_code, other.status_code) == (304, 200)


def test_only_what_is_asked_for_is_read(
    client: Client, experiment: Experiment, four: list[Trial], django_assert_num_queries: Any
) -> None:
    chosen = selection.of(where="param:lr < 0.2 and value > 0")
    with django_assert_num_queries(1) as captured:
        assert len(selection.picked(experiment, chosen)) == 1
    sql = captured.captured_queries[0]["sql"]
    assert '"parameters"' in sql
    assert '"metrics"' not in sql
    with django_assert_num_queries(0):
        selection.picked(experiment, chosen)


# ---- views


def test_a_view_is_kept_renamed_and_deleted(
    client: Client, stranger: Client, experiment: Experiment
) -> None:
    views = url(experiment, "views/")
    query = "where=lr+%3C+0.1&order=-value&chart=slice"
    made = post(client, views, {"name": " Best half ", "query": f"?{query}"})
    assert made.status_code == 201
    view = made.json()
    assert (view["name"], view["query"], view["author"]) == ("Best half", query, "alice")
    assert client.get(views).json() == [view]
    assert stranger.get(views).status_code == 401
    one = f"{views}{view['id']}/"
    assert patch(client, one, {"name": "Low lr"}).json()["name"] == "Low lr"
    assert client.get(views).json()[0]["query"] == query
    page = client.get(f"/experiments/{experiment.pk}/").content.decode()
    assert "Low lr" in page
    assert client.delete(one).status_code == 204
    assert client.get(views).json() == []
    assert client.delete(one).status_code == 404


def test_a_view_that_makes_no_sense_is_refused_by_field(
    client: Client, experiment: Experiment, make_experiment: Any
) -> None:
    views = url(experiment, "views/")
    first = post(client, views, {"name": "mine", "query": ""}).json()
    assert "already" in errors(post(client, views, {"name": "mine", "query": ""}))["name"]
    second = post(client, views, {"name": "other", "query": ""}).json()
    refused = patch(client, f"{views}{second['id']}/", {"name": "mine"})
    assert "already" in errors(refused)["name"]
    assert set(errors(post(client, views, {"name": "a\nb", "query": "javascript"}))) == {
        "name", "query"
    }  # fmt: skip
    assert "name" in errors(post(client, views, {"name": " ", "query": ""}))
    elsewhere = url(make_experiment(), f"views/{first['id']}/")
    assert patch(client, elsewhere, {"name": "taken"}).status_code == 404


def test_views_go_with_their_experiment(client: Client, experiment: Experiment) -> None:
    post(client, url(experiment, "views/"), {"name": "mine", "query": ""})
    experiment.delete()
    assert not SavedView.objects.exists()
