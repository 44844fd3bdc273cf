"""Figures of one's own over REST: kept, listed, read, replaced, deleted, and by whom."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from experiments.access import policy
from experiments.models import Event, Experiment, OwnFigure
from experiments.selectors.export import export
from experiments.services import figures
from experiments.states import EventKind
from tests.web.rest import errors, url

FIGURE: dict[str, Any] = {
    "data": [{"type": "bar", "x": ["<b>a</b>", "b"], "y": [1, 2], "name": "n"}],
    "layout": {"title": {"text": "Size <i>by</i> kind"}},
}


def put(client: Client, experiment: Experiment, name: str, body: Any = FIGURE) -> Any:
    return client.put(url(experiment, f"figures/{name}/"), body, content_type="application/json")


def test_a_figure_is_kept_read_replaced_and_deleted(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    made = put(client, experiment, "按 lr 的损失")
    assert made.status_code == 201, made.content
    assert made.json()["title"] == "Size by kind"
    listed = client.get(url(experiment, "figures/")).json()
    assert [(f["name"], f["n_traces"], f["n_points"], f["author"]) for f in listed] == [
        ("按 lr 的损失", 1, 2, "alice")
    ]
    where = url(experiment, "figures/按 lr 的损失/")
    read = client.get(where)
    assert read.json() == {"data": FIGURE["data"], "layout": FIGURE["layout"]}
    assert client.get(where, headers={"If-None-Match": read["ETag"]}).status_code == 304
    table = client.get(f"{where}table/").json()
    assert table["rows"] == [["n", "a", 1], ["n", "b", 2]]
    assert b"n,a,1" in client.get(f"{where}table/?format=csv").content
    again = put(client, experiment, "按 lr 的损失", {"data": [{"y": [1]}]})
    assert again.status_code == 200
    assert client.get(where).json()["data"] == [{"type": "scatter", "y": [1]}]
    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404
    kinds = Event.objects.filter(experiment=experiment, what__startswith="figure")
    assert list(kinds.order_by("seq").values_list("what", "reason")) == [
        (EventKind.FIGURE_KEPT, "按 lr 的损失"),
        (EventKind.FIGURE_KEPT, "按 lr 的损失"),
        (EventKind.FIGURE_DELETED, "按 lr 的损失"),
    ]


def test_a_stranger_finds_no_figure_and_leaves_none(
    client: Client, stranger: Client, make_experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment()
    put(client, experiment, "mine")
    where = url(experiment, "figures/mine/")
    assert stranger.get(where).status_code == put(stranger, experiment, "mine").status_code == 401
    monkeypatch.setattr(policy, "may_change", lambda user, experiment: False)
    assert client.get(where).status_code == 200
    assert put(client, experiment, "mine").status_code == 403
    assert client.delete(where).status_code == 403
    monkeypatch.setattr(policy, "visible_experiments", lambda user: Experiment.objects.none())
    for answer in (
        client.get(url(experiment, "figures/")), client.get(where), client.get(f"{where}table/"),
        put(client, experiment, "mine"), client.delete(where),
    ):  # fmt: skip
        assert answer.status_code == 404
    assert OwnFigure.objects.count() == 1


def test_what_is_wrong_is_said(client: Client, make_experiment: Any, monkeypatch: Any) -> None:
    experiment = make_experiment()
    bad = {"data": [{"type": "scatter", "marker": {"color": "blau"}}], "layout": {"images": [{}]}}
    answer = put(client, experiment, "bad", bad)
    assert answer.status_code == 400
    assert set(errors(answer)) == {"data[0].marker.color", "layout.images"}
    chinese = client.put(
        url(experiment, "figures/bad/"), bad, content_type="application/json",
        headers={"Accept-Language": "zh"},
    )  # fmt: skip
    assert "不能有" in errors(chinese)["layout.images"]
    nan = put(client, experiment, "bad", '{"data": [{"y": [NaN]}]}')
    assert "NaN" in errors(nan)[""]
    assert put(client, experiment, "..").status_code in (400, 404)
    assert "name" in errors(put(client, experiment, "n" * 81))
    large = put(client, experiment, "bad", json.dumps({"data": ["x" * 2_100_000]}))
    assert large.status_code == 413
    monkeypatch.setattr(figures, "MOST_FIGURES", 1)
    assert put(client, experiment, "one").status_code == 201
    assert put(client, experiment, "one").status_code == 200
    assert "is one more than the 1 figures" in errors(put(client, experiment, "two"))["name"]


def test_it_goes_with_the_experiment(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    assert "figures" not in json.loads(export(experiment, "json"))
    put(client, experiment, "mine")
    experiment = Experiment.objects.get(pk=experiment.pk)
    for kind in ("json", "yaml"):
        assert b"Size <i>by</i> kind" in export(experiment, kind)
    kept = json.loads(export(experiment, "json"))["figures"]
    assert kept == [{"name": "mine", "figure": FIGURE}]
    page = client.get(f"/experiments/{experiment.pk}/").content.decode()
    assert f"at.Client().get(&quot;{experiment.pk}&quot;)" in page
    experiment.delete()
    assert not OwnFigure.objects.exists()


@pytest.mark.long  # puts a whole report together
def test_a_report_has_them_as_far_as_there_is_room(
    client: Client, make_experiment: Any, monkeypatch: Any
) -> None:
    experiment = make_experiment()
    put(client, experiment, "small")
    many = [n / 7 for n in range(19_000)]
    for name in ("large 1", "large 2", "large 3", "large 4", "large 5"):
        points = {"data": [{"x": many, "y": many}], "layout": {"title": f"{name} <b>&amp;</b>"}}
        assert put(client, experiment, name, points).status_code == 201
    text = export(experiment, "html")
    assert len(text) <= 8_000_000
    page = text.decode()
    assert "Size by kind" in page
    assert "left out:" in page
    assert "large 5 &amp;" in page.split("left out:")[1][:300]
