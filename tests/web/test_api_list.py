"""REST: the list of experiments, its filters, pages and cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import ClusterObject, Experiment
from experiments.states import Phase, TrialState
from experiments.trials import changes
from tests.web.rest import LIST, errors


def test_the_list_shows_counts_and_the_best_trial(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(name="digits")
    make_trial(experiment, state=TrialState.RUNNING)
    best = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.9)
    changes.update_best(experiment)
    (found,) = client.get(LIST).json()["results"]
    assert found["name"] == "digits"
    assert found["counts"]["RUNNING"] == 1
    assert found["n_finished"] == 1
    assert found["best"]["number"] == best.number
    assert found["best"]["value"] == 0.9


def test_fifty_experiments_cost_as_many_queries_as_one(
    client: Client, make_experiment: Any, make_trial: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(50):
        experiment = make_experiment()
        make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
        changes.update_best(experiment)
    with django_assert_max_num_queries(6):
        response = client.get(LIST, {"page_size": 50})
    assert len(response.json()["results"]) == 50


def test_the_object_in_the_cluster_is_named_with_its_trouble(
    client: Client, make_experiment: Any, make_trial: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        ClusterObject.objects.create(
            experiment=make_experiment(),
            namespace="team-a",
            name=f"quick-{number}",
            uid=f"u{number}",
        )
    alone = make_experiment()
    with django_assert_max_num_queries(6):
        found = client.get("/api/v1/experiments/").json()["results"]
    names = {one["cluster_object"] and one["cluster_object"]["name"] for one in found}
    assert names == {None, *(f"quick-{number}" for number in range(10))}
    assert client.get(f"/api/v1/experiments/{alone.pk}/").json()["cluster_object"] is None

    link = ClusterObject.objects.get(name="quick-3")
    link.trouble = "it is full"
    link.save()
    told = client.get(f"/api/v1/experiments/{link.experiment_id}/").json()["cluster_object"]
    assert told == {"namespace": "team-a", "name": "quick-3", "trouble": "it is full"}


def test_the_list_is_filtered_searched_ordered_and_paged(
    client: Client, make_experiment: Any
) -> None:
    now = timezone.now()
    for index, (name, phase) in enumerate(
        [("beta", Phase.DONE), ("alpha", Phase.RUNNING), ("alpine", Phase.ERROR)]
    ):
        make_experiment(name=name, phase=phase, created_at=now + timedelta(seconds=index))

    def names(**query: Any) -> list[str]:
        return [row["name"] for row in client.get(LIST, query).json()["results"]]

    assert names() == ["alpine", "alpha", "beta"]  # newest first
    assert names(order="name") == ["alpha", "alpine", "beta"]
    assert names(order="-phase,name") == ["alpha", "alpine", "beta"]
    assert names(search="ALP") == ["alpine", "alpha"]
    assert names(search=Experiment.objects.get(name="beta").pk) == ["beta"]
    assert names(phase="DONE,ERROR") == ["alpine", "beta"]
    page = client.get(LIST, {"page_size": 2, "order": "name"}).json()
    assert page["count"] == 3
    assert "page=2" in page["next"]
    assert names(page_size=2, order="name", page=2) == ["beta"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"phase": "FINISHED"}, "phase"),
        ({"order": "colour"}, "order"),
        ({"page": "0"}, "page"),
        ({"page": "last"}, "page"),
        ({"page_size": "201"}, "page_size"),
        ({"page_size": "5.0"}, "page_size"),
        ({"serch": "x"}, "serch"),
    ],
)
def test_a_bad_query_is_refused_with_its_name(
    client: Client, query: dict[str, str], path: str
) -> None:
    response = client.get(LIST, query)
    assert response.status_code == 400
    assert list(errors(response)) == [path]


def test_a_misspelt_word_suggests_the_right_one(client: Client) -> None:
    (error,) = client.get(LIST, {"phase": "RUNING"}).json()["errors"]
    assert error["hint"] == "Did you mean 'RUNNING'?"
    (error,) = client.get(LIST, {"serch": "x"}).json()["errors"]
    assert error["hint"] == "Did you mean 'search'?"


def test_a_page_past_the_end_is_404(client: Client) -> None:
    assert client.get(LIST, {"page": 7}).status_code == 404
