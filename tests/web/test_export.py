"""An experiment as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Metric, Trial
from experiments.selectors.export import csv_text, export, export_json
from experiments.states import Phase, TrialState
from experiments.trials import changes

NASTY = "=HYPERLINK(\"http://evil\")<script>alert('x')</script>"


@pytest.fixture
def experiment(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> Experiment:
    """Two trials with different parameters, odd numbers and hostile words."""
    found = make_experiment(name="<b>digits", phase=Phase.DONE, notes=NASTY)
    now = timezone.now()
    first = make_trial(
        found, state=TrialState.SUCCEEDED, value=-0.5, origin="model",
        parameters={"lr": 1e-7, "opt": NASTY, "nested": {"_name": "deep", "n": [1, 2]}},
        metrics={"default": -0.5, "f1": "NaN"},
        started_at=now - timedelta(seconds=2), finished_at=now, exit_code=0,
    )  # fmt: skip
    make_trial(found, state=TrialState.FAILED, reason="@boom", parameters={"lr": 1, "amp": True})
    rows = [
        ("PERIODICAL", 1, 2.0, "default", None, "NaN"),
        ("PERIODICAL", 0, None, "default", 0.1, ""),
        ("FINAL", 0, None, "default", -0.5, ""),
    ]
    for seq, (kind, sequence, step, name, value, nonfinite) in enumerate(rows, 1):
        Metric.objects.create(
            trial=first, experiment=found, kind=kind, sequence=sequence, step=step, name=name,
            value=value, nonfinite=nonfinite, time=now, seq=seq,
        )  # fmt: skip
    changes.update_best(found)
    found.refresh_from_db()
    return found


def test_the_json_export_is_the_contract(experiment: Experiment) -> None:
    data = json.loads(export(experiment, "json"))
    assert set(data) == {"experiment", "best", "trials"}
    head = data["experiment"]
    assert {"id", "name", "phase", "message", "optimize_mode", "manifest"} <= set(head)
    assert (head["id"], head["phase"]) == (experiment.pk, "DONE")
    assert head["manifest"]["spec"]["maxTrialNum"] == 4
    first, second = data["trials"]
    assert set(first) == {
        "number", "id", "state", "origin", "reason", "parameters", "value", "metrics",
        "started_at", "finished_at", "intermediate",
    }  # fmt: skip
    assert first["metrics"] == {"default": -0.5, "f1": "NaN"}
    time = first["intermediate"][0].pop("time")
    assert time.endswith("+00:00")
    assert first["intermediate"][0] == {
        "sequence": 0, "step": None, "name": "default", "value": 0.1
    }  # fmt: skip
    assert first["intermediate"][1]["value"] == "NaN"
    assert len(first["intermediate"]) == 2  # the final report is the value, not a point
    assert (second["value"], second["intermediate"]) == (None, [])
    assert data["best"]["number"] == 0
    assert len(data["best"]["intermediate"]) == 2


def test_every_way_to_the_export_says_the_same(experiment: Experiment) -> None:
    assert json.loads(export(experiment, "json")) == export_json(experiment)
    assert yaml.safe_load(export(experiment, "yaml"))["best"]["parameters"]["lr"] == 1e-7


def test_an_experiment_without_trials_exports(make_experiment: Any) -> None:
    empty = make_experiment()
    assert json.loads(export(empty, "json"))["trials"] == []
    assert json.loads(export(empty, "json"))["best"] is None
    assert len(list(csv.reader(io.StringIO(export(empty, "csv").decode())))) == 1
    assert "No trial has succeeded yet." in export(empty, "html").decode()


def test_reading_reports_costs_queries_by_the_batch_not_by_the_trial(
    experiment: Experiment, make_trial: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(2, 120):
        make_trial(experiment, number=number)
    with django_assert_max_num_queries(11):  # a small piece first, so that it begins at once
        assert len(json.loads(export(experiment, "json"))["trials"]) == 120


def test_more_trials_than_one_batch_all_come_in_order(
    make_experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.selectors.export._BATCH", 3)
    experiment = make_experiment()
    Trial.objects.bulk_create(
        Trial(experiment=experiment, number=number, parameters={}) for number in range(8)
    )
    numbers = [trial["number"] for trial in json.loads(export(experiment, "json"))["trials"]]
    assert numbers == list(range(8))


def rows_of(experiment: Experiment) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export(experiment, "csv").decode(), newline="")))


def test_the_csv_has_a_row_a_trial_and_the_union_of_columns(experiment: Experiment) -> None:
    first, second = rows_of(experiment)
    assert float(first["param:lr"]) == 1e-7
    assert (first["param:amp"], second["param:amp"]) == ("", "true")
    assert (first["param:nested"], first["param:nested.n"]) == ("deep", "[1, 2]")
    assert (second["param:nested"], second["param:nested.n"]) == ("", "")
    assert (first["metric:f1"], second["metric:f1"]) == ("NaN", "")
    assert float(first["duration_seconds"]) == 2.0


def test_no_cell_of_the_csv_is_a_formula(experiment: Experiment) -> None:
    first, second = rows_of(experiment)
    assert first["param:opt"] == "'" + NASTY
    assert second["reason"] == "'@boom"
    assert first["value"] == "-0.5"  # a number may begin with a minus


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        ("json", "application/json"),
        ("csv", "text/csv; charset=utf-8"),
        ("yaml", "application/yaml"),
        ("html", "text/html; charset=utf-8"),
    ],
)
def test_exports_are_downloads(
    client: Client, experiment: Experiment, format: str, content_type: str
) -> None:
    response = client.get(f"/api/v1/experiments/{experiment.pk}/export/", {"format": format})
    assert response.status_code == 200
    assert response["Content-Type"] == content_type
    expected = f'attachment; filename="b-digits.{format}"'  # <b>digits
    assert response["Content-Disposition"] == expected
    if format != "html":  # which says when it was made
        assert b"".join(response) == export(experiment, format)  # JSON comes in pieces


def test_the_export_is_json_unless_said_otherwise(client: Client, experiment: Experiment) -> None:
    path = f"/api/v1/experiments/{experiment.pk}/export/"
    assert client.get(path)["Content-Type"] == "application/json"
    response = client.get(path, {"format": "xls"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["path"] == "format"
    for query, words in (
        ({"format": "html", "language": "xx"}, "xx"),
        ({"format": "csv", "language": "en"}, "but the format is 'csv'"),
    ):
        response = client.get(path, query)
        assert response.status_code == 400
        (error,) = response.json()["errors"]
        assert error["path"] == "language"
        assert words in error["message"]
    assert client.post(path).status_code == 405
    assert Client().get(path).status_code == 401


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("digits", 'filename="digits.csv"'),
        ("two words", 'filename="two words.csv"'),
        ("a/b\\c\r\nX: y", 'filename="a-b-c-X- y.csv"'),
        ("数字", "filename*=utf-8''%E6%95%B0%E5%AD%97.csv"),
    ],
)
def test_files_are_named_by_the_experiment(
    client: Client, make_experiment: Any, name: str, file: str
) -> None:
    experiment = make_experiment(name=name)
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/export/", {"format": "csv"})
    assert answer["Content-Disposition"] == f"attachment; {file}"


def test_a_name_of_nothing_but_such_characters_gives_way_to_the_id(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment(name="///")
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/export/", {"format": "csv"})
    assert answer["Content-Disposition"] == f'attachment; filename="{experiment.pk}.csv"'


def test_a_nested_parameter_has_cells_of_its_own(make_experiment, make_trial) -> None:
    experiment = make_experiment()
    make_trial(experiment, parameters={"opt": {"_name": "adam", "lr": 0.1}, "seed": 2**53 + 1})
    make_trial(experiment, parameters={"opt": {"_name": "sgd", "momentum": 0.9}, "seed": 1})
    rows = list(csv.DictReader(io.StringIO(csv_text(experiment))))
    shown = [[v for k, v in row.items() if k.startswith("param:")] for row in rows]
    assert [k for k in rows[0] if k.startswith("param:")] == [
        "param:opt", "param:opt.lr", "param:seed", "param:opt.momentum",
    ]  # fmt: skip
    assert shown == [["adam", "0.1", "9007199254740993", ""], ["sgd", "", "1", "0.9"]]
