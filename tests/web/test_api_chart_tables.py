"""REST: charts as tables, in pages and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.test import Client
from django.utils import timezone

from experiments.states import TrialState
from tests.web.rest import errors, url


def test_a_chart_is_read_in_pages_or_as_one_file(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(name='nets: "deep"')
    for i in range(5):
        make_trial(
            experiment,
            state=TrialState.SUCCEEDED,
            value=i / 10,
            parameters={"lr": 0.1, "fn": "=1+1"},
        )
    path = url(experiment, "charts/history/table/")
    part = client.get(path, {"offset": 3, "limit": 1, "x": "number"}).json()
    assert part["columns"] == ["Trial", "State", "Value", "Best so far"]
    assert part["count"] == 5
    assert part["rows"] == [[3, "Succeeded", 0.3, 0.3]]
    file = client.get(url(experiment, "charts/parcoords/table/"), {"format": "csv", "limit": 1})
    assert file["Content-Type"].startswith("text/csv")
    assert 'filename="nets- -deep-parcoords.csv"' in file["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(file.content.decode())))
    assert len(rows) == 6  # all of them, whatever the limit
    assert rows[0][:2] == ["Trial", "Value"]
    assert "'=1+1" in rows[1]  # no formula of a spreadsheet
    chinese = client.get(path, headers={"Accept-Language": "zh-hans"}).json()
    assert chinese["columns"][0] == "试验"


def test_what_makes_no_sense_is_said(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    path = url(experiment, "charts/history/table/")
    assert "limit" in errors(client.get(path, {"limit": "1001"}))
    assert "format" in errors(client.get(path, {"format": "xls"}))
    assert "x" in errors(client.get(path, {"x": "y"}))
    unknown = client.get(url(experiment, "charts/histroy/table/"))
    assert unknown.status_code == 404
    assert client.get(path).json() == {
        "columns": ["Trial", "State", "Value", "Best so far"], "count": 0, "rows": [],
    }  # fmt: skip


def test_charts_of_chosen_trials_and_experiments_are_tables_too(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    made = [make_experiment(name=name) for name in ("one", "two")]
    for experiment in made:
        for i in range(2):
            make_trial(
                experiment, state=TrialState.SUCCEEDED, value=0.5 + i, finished_at=timezone.now()
            )
    curves = client.get(url(made[0], "compare/curves/table/"), {"trials": "0,1"})
    assert curves.json()["count"] == 0
    ids = ",".join(experiment.pk for experiment in made)
    best = client.get("/api/v1/experiments/compare/charts/best/table/", {"ids": ids}).json()
    assert best["columns"] == ["Experiment", "Trials ended", "Value"]
    assert ["two", 2, 1.5] in best["rows"]
    wrong = client.get("/api/v1/experiments/compare/charts/nope/table/", {"ids": ids})
    assert wrong.status_code == 404
