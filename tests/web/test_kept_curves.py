"""Curves of ended trials are thinned once and kept: exact where it matters, never out of date."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError
from django.test import AsyncClient, Client

from experiments.access.tokens import TrialClaim
from experiments.charts import crowd, style
from experiments.charts import curves as chart
from experiments.models import Curve, Experiment, Metric, Trial, curves
from experiments.reports import rows
from experiments.reports.wire import Report
from experiments.selectors import chart_data, curve_data
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import Wish
from experiments.states import TrialState
from tests.web.rest import url

NAN = float("nan")
START = datetime(2026, 1, 1, tzinfo=UTC)


def points(values: list[float]) -> curves.Points:
    n = len(values)
    return np.array([range(n), [NAN] * n, values, np.arange(n) * 2.0], dtype=float)


@pytest.mark.parametrize("shape", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_ends_and_extremes_stay_exactly(shape: bool, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    given = points(drawn.normal(size=997).tolist())
    given[2, drawn.integers(997)] = 7.123456789012345
    given[2, drawn.integers(997)] = -1e300
    kept = curves.thinned(given, 24, shape=shape)
    assert kept.shape[1] <= 28
    assert (np.diff(kept[0]) > 0).all()
    whole = {tuple(point) for point in given.T[:, [0, 2, 3]].tolist()}
    assert {tuple(point) for point in kept.T[:, [0, 2, 3]].tolist()} <= whole
    for place in (0, -1, given[2].argmin(), given[2].argmax()):
        assert given[0, place] in kept[0]


def test_gaps_stay_gaps() -> None:
    values = [1.0] * 100 + [NAN] * 50 + [2.0] * 100 + [NAN]
    kept = curves.thinned(points(values), 24, shape=False)
    finite = np.isfinite(kept[2])
    first_gap = np.flatnonzero(~finite)
    assert (kept[0, first_gap] >= 100).all()
    assert any(100 <= at < 150 for at in kept[0, first_gap])
    assert kept[0, -1] == 250
    assert np.isnan(kept[2, -1])


def test_nothing_but_gaps() -> None:
    assert curves.thinned(points([NAN] * 500), 24, shape=True).shape[1] == 24


def reported(trial: Trial, values: list[float | None], name: str = "default") -> None:
    Metric.objects.bulk_create(
        Metric(
            trial=trial, experiment=trial.experiment, kind="PERIODICAL", sequence=i, step=i * 2.0,
            name=name, value=value, nonfinite="" if value is not None else "NaN",
            time=START + timedelta(seconds=i), seq=i + 1,
        )
        for i, value in enumerate(values)
    )  # fmt: skip
    Trial.objects.filter(pk=trial.pk).update(n_reports=len(values))
    trial.experiment.last_seq = len(values)


@pytest.fixture
def ended(make_experiment: Any, make_trial: Any) -> Trial:
    trial: Trial = make_trial(make_experiment(), state=TrialState.SUCCEEDED, value=0.5)
    reported(trial, [*np.sin(np.arange(500) / 20).tolist(), None])
    return trial


def test_what_is_kept_is_read_back(ended: Trial) -> None:
    curves.keep([ended.pk])
    kept = Curve.objects.get()
    assert (kept.name, kept.n_reports) == ("default", 501)
    coarse = curves.unpacked(kept.coarse)
    assert coarse.shape[1] <= curves.COARSE + 3
    assert kept.fine is not None
    fine = curves.unpacked_fine(kept.fine)
    assert 190 <= fine.shape[1] <= curves.FINE + 5
    for found in (coarse, fine):
        assert found[:, 0].tolist() == [0, 0, 0, START.timestamp()]
        assert found[2, -1] != found[2, -1]
        assert np.nanmax(found[2]) == max(np.sin(np.arange(500) / 20))
        assert (found[1] == found[0] * 2).all()
        assert (found[3] == START.timestamp() + found[0]).all()


def test_running_trials_are_not_thinned(make_experiment: Any, make_trial: Any) -> None:
    trial = make_trial(make_experiment(), state=TrialState.RUNNING)
    reported(trial, [0.1, 0.2])
    curves.keep([trial.pk])
    assert not Curve.objects.exists()


def drawn(experiment: Experiment, **options: str) -> list[Any]:
    figure = chart_data.figure(experiment, "curves", options)
    return [(trace["x"], trace["y"]) for trace in figure["data"]]


@pytest.mark.parametrize("x", ["step", "sequence", "time"])
def test_a_chart_without_kept_curves_makes_them(ended: Trial, x: str) -> None:
    found = drawn(ended.experiment, x=x)
    assert Curve.objects.count() == 1
    chart_data._kept.clear()
    assert drawn(ended.experiment, x=x) == found
    ((xs, ys),) = found
    last = {"step": 998.0, "sequence": 499.0, "time": 499.0}[x]  # the last one is no number
    assert (xs[0], xs[-1]) == (0.0, last)
    assert max(y for y in ys if y is not None) == pytest.approx(1, abs=1e-3)


def test_an_overview_reads_no_report_of_an_ended_trial(
    ended: Trial, django_assert_num_queries: Any
) -> None:
    curves.keep([ended.pk])
    Metric.objects.all().delete()
    assert drawn(ended.experiment)[0][1]


def test_a_trials_own_chart_has_every_point(ended: Trial) -> None:
    curves.keep([ended.pk])
    ((xs, _),) = drawn(ended.experiment, trial=str(ended.number))
    assert len(xs) == 501


def test_a_report_that_comes_late_makes_it_anew(ended: Trial) -> None:
    curves.keep([ended.pk])
    claim = TrialClaim(ended.pk, ended.key, ended.number, ended.experiment_id)
    for sequence in (600, 3):  # a new one; one that was there
        rows.write([(claim, Report(ended.key, "PERIODICAL", sequence, 1.0, {"default": 9.5}, ""))])
        assert not Curve.objects.exists()
        experiment = Experiment.objects.get()
        assert 9.5 in drawn(experiment)[0][1]
        assert Curve.objects.exists()


def test_one_made_by_an_older_release_meanwhile_is_seen_by_its_count(ended: Trial) -> None:
    curves.keep([ended.pk])
    Trial.objects.update(n_reports=502)
    drawn(ended.experiment)
    assert Curve.objects.get().n_reports == 502


def test_what_there_is_no_time_for_is_said_and_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = generate(Wish(trials=20, points=30, stopped=0.0, failed=0.0))
    Curve.objects.all().delete()
    monkeypatch.setattr(curve_data, "THIN_FOR_S", 0.0)
    answer = client.get(url(made, "charts/curves/"))
    assert answer.json()["layout"]["meta"]["n_unread"] == 20
    assert "ETag" not in answer
    monkeypatch.setattr(curve_data, "THIN_FOR_S", 60.0)
    answer = client.get(url(made, "charts/curves/"))
    assert not answer.json()["layout"]["meta"].get("n_unread")
    assert len(answer.json()["data"]) == 20
    assert "ETag" in answer


def test_a_database_that_cannot_be_written_now_is_no_error(
    ended: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: Any) -> None:
        raise DatabaseError("database is locked")

    monkeypatch.setattr(curves, "keep", locked)
    figure = chart_data.figure(ended.experiment, "curves", {})
    assert not figure["layout"]["meta"].get("n_unread")  # the page need not ask again
    assert len(figure["data"]) == 1
    assert not Curve.objects.exists()


def test_metrics_offered_come_from_ended_and_running_trials(ended: Trial, make_trial: Any) -> None:
    reported(ended, [0.1], name="loss")
    running = make_trial(ended.experiment, number=7, state=TrialState.RUNNING)
    reported(running, [0.1], name="early")
    figure = chart_data.figure(ended.experiment, "curves", {})
    assert figure["layout"]["meta"]["metrics"] == ["default", "early", "loss"]


def test_an_experiment_goes_with_its_curves(ended: Trial) -> None:
    curves.keep([ended.pk])
    ended.experiment.delete()
    assert not Curve.objects.exists()


def test_figures_and_tables_are_compressed_and_pages_are_not(client: Client) -> None:
    made = generate(Wish(trials=60))
    packed = {"Accept-Encoding": "gzip"}
    for path in ("charts/history/", "charts/curves/", "trials/", "events/", "trials/1/metrics/"):
        plain = client.get(url(made, path))
        answer = client.get(url(made, path), headers=packed)
        assert answer["Content-Encoding"] == "gzip", path
        assert "Accept-Encoding" in answer["Vary"]
        assert "Content-Encoding" not in plain
        if "charts" not in path:  # running times grow
            assert json.loads(gzip.decompress(answer.content)) == plain.json()
    page = client.get(f"/experiments/{made.pk}/", headers=packed)
    assert "Content-Encoding" not in page  # it holds the token of its forms
    tag = client.get(url(made, "charts/history/"), headers=packed)["ETag"]
    again = client.get(url(made, "charts/history/"), headers={**packed, "If-None-Match": tag})
    assert again.status_code == 304


@pytest.mark.long
def test_a_list_of_many_asks_the_database_no_more_than_one_of_few(
    client: Client, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for n in (2, 20):
        for seed in range(n):
            generate(Wish(trials=3, points=0, stopped=0.0, seed=seed))
        for path in ("/", "/api/v1/experiments/"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:]


@pytest.mark.django_db(transaction=True)
def test_the_json_export_comes_in_pieces(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.selectors.export._FIRST_BATCH", 2)
    monkeypatch.setattr("experiments.selectors.export._BATCH", 10)
    made = generate(Wish(trials=50))

    async def read() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(alice)
        answer = await client.get(url(made, "export/?format=json"))
        assert answer.status_code == 200
        return [chunk async for chunk in answer.streaming_content]

    pieces = async_to_sync(read)()
    assert len(pieces) >= 7
    found = json.loads(b"".join(pieces))
    assert [trial["number"] for trial in found["trials"]] == list(range(50))
    assert found["best"]["number"] == made.best_trial.number


@pytest.mark.django_db
def test_of_very_many_curves_some_are_read_and_the_legend_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chart, "MOST_LINES", 20)
    made = generate(Wish(trials=150, points=12, stopped=0.0, failed=0.0))
    whole = bands_of(made)
    assert "130 curves" in style.unwrapped(whole["name"])  # the best 20 have lines of their own
    monkeypatch.setattr(crowd, "MOST_READ", 65)
    chart_data._kept.clear()
    some = bands_of(made)
    notes = chart_data.figure(made, "curves", {})["layout"]["annotations"]
    assert "85 of 150 curves; bands of 65 others" in notes[0]["text"]
    assert "65 of 130 curves" in style.unwrapped(some["name"])
    assert some["x"] == whole["x"]
    assert some["y"] != whole["y"]
    assert some["y"] == pytest.approx(whole["y"], rel=0.3)


def bands_of(experiment: Experiment) -> Any:
    figure = chart_data.figure(experiment, "curves", {})
    return next(trace for trace in figure["data"] if trace["uid"] == "median")
