"""REST: the life of an experiment."""

from __future__ import annotations

import copy
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone

from experiments.access import policy
from experiments.access.tokens import make_api_token
from experiments.models import ApiToken, ClusterObject, Experiment, Metric, Trial
from experiments.selectors import chart_data
from experiments.states import Phase, TrialState
from experiments.trials import changes
from tests.conftest import MANIFEST

LIST = "/api/v1/experiments/"


def url(experiment: Experiment, rest: str = "") -> str:
    return f"{LIST}{experiment.pk}/{rest}"


def post(client: Client, to: str, body: Any = None, **more: Any) -> Any:
    return client.post(
        to, body if body is not None else {}, content_type="application/json", **more
    )


def patch(client: Client, to: str, body: Any) -> Any:
    return client.patch(to, body, content_type="application/json")


def errors(response: Any) -> dict[str, str]:
    """Messages by path."""
    return {error["path"]: error["message"] for error in response.json()["errors"]}


def changed(**spec: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"].update(spec)
    return manifest


# ---- who may come in


def test_a_stranger_is_told_401_and_how_to_sign_in(stranger: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    for path in (LIST, url(experiment), "/api/v1/algorithms/", "/api/schema/", "/api/v1/nothing/"):
        response = stranger.get(path)
        assert response.status_code == 401, path
        assert response["WWW-Authenticate"] == "Bearer"
    assert errors(stranger.get(LIST)) == {"": "Authentication credentials were not provided."}
    assert stranger.post(LIST, "x", content_type="application/yaml").status_code == 401
    assert stranger.delete(url(experiment)).status_code == 401


def test_a_token_comes_in_without_a_session_or_csrf(alice: Any, make_experiment: Any) -> None:
    experiment = make_experiment()
    client = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {make_api_token(alice, 'laptop')}"}
    assert client.get(LIST, headers=headers).status_code == 200
    response = post(client, url(experiment, "finish/"), headers=headers)
    assert response.status_code == 200
    ApiToken.objects.all().delete()
    response = client.get(LIST, headers=headers)
    assert response.status_code == 401
    assert errors(response) == {"": "Unknown or withdrawn API token."}


def test_a_session_needs_the_csrf_token(alice: Any, make_experiment: Any) -> None:
    experiment = make_experiment()
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = post(client, url(experiment, "finish/"))
    assert response.status_code == 403
    assert "CSRF" in errors(response)[""]


def test_what_is_not_visible_is_not_there(
    client: Client, make_experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment()
    hidden = make_experiment(deleting=True)
    assert client.get(url(hidden)).status_code == 404
    monkeypatch.setattr(policy, "visible_experiments", lambda user: Experiment.objects.none())
    for rest in ("", "manifest/", "trials/", "events/", "export/", "charts/history/"):
        response = client.get(url(experiment, rest))
        assert response.status_code == 404, rest
        assert list(errors(response)) == [""]


def test_who_may_only_look_cannot_change(
    client: Client, make_experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment()
    monkeypatch.setattr(policy, "may_change", lambda user, experiment: False)
    assert client.get(url(experiment)).status_code == 200
    assert patch(client, url(experiment), {"notes": "mine"}).status_code == 403
    assert client.delete(url(experiment)).status_code == 403
    assert post(client, url(experiment, "finish/")).status_code == 403


# ---- the list


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


# ---- creating


def test_a_manifest_in_json_becomes_an_experiment(
    client: Client, alice: Any, no_broker: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = post(client, LIST, MANIFEST)
    assert response.status_code == 201, response.content
    answer = response.json()
    experiment = Experiment.objects.get(pk=answer["id"])
    assert answer["url"] == f"http://testserver/experiments/{experiment.pk}/"
    assert answer["api_url"] == response["Location"] == f"http://testserver{url(experiment)}"
    assert answer["name"] == "sample"
    assert isinstance(answer["warnings"], list)
    assert experiment.owner == alice
    assert experiment.phase == Phase.PENDING
    assert experiment.origin == Experiment.Origin.WEB  # it came from a browser's session
    assert json.loads(experiment.source) == MANIFEST
    assert no_broker == [experiment.pk]  # the loop was told


def test_a_program_with_a_token_leaves_api_as_origin(alice: Any) -> None:
    headers = {"Authorization": f"Bearer {make_api_token(alice, 'ci')}"}
    response = post(Client(), LIST, MANIFEST, headers=headers)
    assert Experiment.objects.get(pk=response.json()["id"]).origin == Experiment.Origin.API


@pytest.mark.parametrize(
    "content_type", ["application/yaml", "text/yaml", "application/x-yaml; charset=utf-8"]
)
def test_a_manifest_in_yaml_becomes_an_experiment(client: Client, content_type: str) -> None:
    text = "# my first\n" + yaml.safe_dump(MANIFEST)
    response = client.post(LIST, text, content_type=content_type)
    assert response.status_code == 201, response.content
    assert Experiment.objects.get(pk=response.json()["id"]).source == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("m.yaml", yaml.safe_dump(MANIFEST)), ("m.json", json.dumps(MANIFEST))],
)
def test_a_manifest_is_uploaded_as_a_file(client: Client, name: str, text: str) -> None:
    response = client.post(LIST, {"file": SimpleUploadedFile(name, text.encode())})
    assert response.status_code == 201, response.content


def test_an_upload_without_a_file_says_which_field(client: Client) -> None:
    response = client.post(LIST, {"manifest": "text"})
    assert response.status_code == 400
    assert list(errors(response)) == ["file"]


def test_all_errors_come_at_once_and_nothing_is_stored(client: Client) -> None:
    manifest = changed(maxTrialNum="50", trialConcurrency=-1, tunr={})
    response = post(client, LIST, manifest)
    assert response.status_code == 400
    answer = response.json()
    paths = {error["path"] for error in answer["errors"]}
    assert {"spec.maxTrialNum", "spec.trialConcurrency", "spec.tunr"} <= paths
    assert all(set(error) <= {"path", "message", "hint", "line"} for error in answer["errors"])
    assert "warnings" in answer
    assert not Experiment.objects.exists()


def test_errors_of_yaml_carry_the_line(client: Client) -> None:
    text = yaml.safe_dump(changed(maxTrialNum="50"), sort_keys=False)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "maxTrialNum" in row)
    response = client.post(LIST, text, content_type="application/yaml")
    (error,) = response.json()["errors"]
    assert (error["path"], error["line"]) == ("spec.maxTrialNum", line)


def test_errors_of_json_carry_the_line_too(client: Client) -> None:
    text = json.dumps(changed(maxTrialNum="50"), indent=1)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "maxTrialNum" in row)
    response = client.post(LIST, text, content_type="application/json")
    (error,) = response.json()["errors"]
    assert (error["path"], error["line"]) == ("spec.maxTrialNum", line)


def test_what_the_forecast_finds_impossible_is_an_error(client: Client) -> None:
    manifest = changed()
    task = manifest["spec"]["trainingConfig"]["tasks"][0]
    task["template"]["spec"]["containers"][0] = {"name": "tensorflow"}
    response = post(client, LIST, manifest)
    assert response.status_code == 400
    (path,) = errors(response)
    assert path.endswith("containers[0].command")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ("", "application/json", 400),
        ('{"a": 1, "a": 2}', "application/json", 400),
        ("[" * 50_000, "application/json", 400),
        ('{"a": NaN}', "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        ('{"metadata": {"name": "\\ud800"}}', "application/json", 400),
        ("a:\n\t- b", "application/yaml", 400),
        ("a: 1\na: 2", "application/yaml", 400),
        (b"\xff\xfe", "application/yaml", 400),
        ("", "application/yaml", 400),
        ("x: " + "y" * 5_000_000, "application/yaml", 400),
        ('{"x": "' + "y" * 5_000_000 + '"}', "application/json", 400),
        ("x: " + "y" * 9_000_000, "application/yaml", 413),
        ("name=1", "application/x-www-form-urlencoded", 415),
        ("x", "text/plain", 415),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_that_is_no_manifest_is_refused_in_the_same_shape(
    client: Client, body: str | bytes, content_type: str, status: int
) -> None:
    for path in (LIST, LIST + "validate/"):
        response = client.post(path, body, content_type=content_type)
        assert response.status_code == status, response.content[:500]
        assert response.json()["errors"][0]["message"]
    assert not Experiment.objects.exists()


def test_an_emoji_escaped_in_json_arrives_whole(client: Client) -> None:
    manifest = changed()
    manifest["metadata"]["annotations"] = {"note": "\N{ROCKET}"}
    text = json.dumps(manifest)
    assert "\\ud83d" in text
    response = client.post(LIST, text, content_type="application/json")
    stored = Experiment.objects.get(pk=response.json()["id"]).manifest
    assert stored["metadata"]["annotations"] == {"note": "\N{ROCKET}"}


def test_a_host_that_runs_no_local_trials_refuses(client: Client, settings: Any) -> None:
    settings.LOCAL_TRIALS = False
    response = post(client, LIST, MANIFEST)
    assert response.status_code == 403
    assert "AUTOTUNE_LOCAL_TRIALS" in errors(response)[""]


def test_who_may_not_run_commands_here_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "may_run_locally", lambda user: False)
    assert post(client, LIST, MANIFEST).status_code == 403
    assert not Experiment.objects.exists()


def test_put_on_the_list_is_a_wrong_method(client: Client) -> None:
    response = client.put(LIST)
    assert response.status_code == 405
    assert "GET" in response["Allow"]
    assert errors(response) == {"": 'Method "PUT" not allowed.'}


# ---- validating


def test_validate_answers_as_create_would_and_stores_nothing(client: Client) -> None:
    response = client.post(
        LIST + "validate/", yaml.safe_dump(MANIFEST), content_type="application/yaml"
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["errors"] == []
    assert yaml.safe_load(answer["yaml"]) == answer["manifest"]
    assert answer["manifest"]["spec"]["maxTrialNum"] == 4
    assert answer["n_distinct"] is None  # a loguniform has no end
    assert answer["peak"]["pods"] == 2
    assert {"lr", "units"} == set(answer["samples"][0])
    assert not Experiment.objects.exists()


# ---- one experiment


def test_reading_one_experiment(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(name="digits")
    answer = client.get(url(experiment)).json()
    assert answer["id"] == experiment.pk
    assert answer["name"] == "digits"
    assert client.get(LIST + "nosuchid/").status_code == 404
    assert post(client, url(experiment)).status_code == 405


def test_limits_change_in_either_spelling(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    body = {"max_trials": 9, "maxExecSeconds": 77, "notes": "longer", "name": "renamed"}
    answer = patch(client, url(experiment), body).json()
    assert (answer["max_trials"], answer["max_exec_seconds"]) == (9, 77)
    assert (answer["notes"], answer["name"]) == ("longer", "renamed")
    (limits,) = experiment.events.filter(what="limits")
    assert "max_trials 4 → 9" in limits.reason


def test_suspend_and_resume(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    assert patch(client, url(experiment), {"suspended": True}).json()["suspended"] is True
    assert patch(client, url(experiment), {"suspended": False}).json()["suspended"] is False


def test_raising_a_limit_of_a_done_experiment_makes_it_run_again(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment(phase=Phase.DONE, finished_at=timezone.now())
    answer = patch(client, url(experiment), {"maxTrialNum": 10}).json()
    assert answer["phase"] == "RUNNING"
    assert answer["finished_at"] is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"max_trials": "50"}, "max_trials"),
        ({"max_trials": True}, "max_trials"),
        ({"max_trials": 5.0}, "max_trials"),
        ({"maxTrialNum": 0}, "maxTrialNum"),
        ({"max_trials": 10**40}, "max_trials"),
        ({"max_trials": None}, "max_trials"),
        ({"max_trials": 5, "maxTrialNum": 5}, "maxTrialNum"),
        ({"suspended": "yes"}, "suspended"),
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": 7}, "name"),
        ({"phase": "DONE"}, "phase"),
        ({"expected": {"max_trial": 4}}, "expected.max_trial"),
        ({"expected": 4}, "expected"),
        ([], ""),
        ("text", ""),
    ],
)
def test_a_bad_change_is_refused_whole(
    client: Client, make_experiment: Any, body: Any, path: str
) -> None:
    experiment = make_experiment()
    if isinstance(body, dict):
        body = {"notes": "must not be written", **body}
    response = patch(client, url(experiment), json.dumps(body))
    assert response.status_code == 400, response.content
    assert list(errors(response)) == [path]
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.notes) == (4, "")


def test_every_problem_of_a_change_is_told_at_once(client: Client, make_experiment: Any) -> None:
    response = patch(
        client, url(make_experiment()), {"max_trials": 0, "concurency": 2, "suspended": 1}
    )
    assert set(errors(response)) == {"max_trials", "concurency", "suspended"}
    hints = {error["path"]: error["hint"] for error in response.json()["errors"]}
    assert hints["concurency"] == "Did you mean 'concurrency'?"


def test_of_two_people_the_second_is_told(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    seen = {"max_trials": 4}
    assert patch(client, url(experiment), {"max_trials": 8, "expected": seen}).status_code == 200
    body = {"max_trials": 6, "notes": "mine", "expected": seen}
    response = patch(client, url(experiment), body)
    assert response.status_code == 409
    assert "max_trials is 8 by now, not 4" in errors(response)[""]
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.notes) == (8, "")


def test_of_people_at_the_very_same_time_one_wins(
    transactional_db: None, alice: Any, make_experiment: Any
) -> None:
    experiment = make_experiment()
    together = threading.Barrier(4)

    def change(value: int) -> int:
        client = Client()
        client.force_login(alice)
        together.wait(timeout=30)
        try:
            body = {"max_trials": value, "expected": {"max_trials": 4}}
            return int(patch(client, url(experiment), body).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(change, [11, 12, 13, 14]))
    assert statuses == [200, 409, 409, 409]
    assert experiment.events.filter(what="limits").count() == 1


def test_a_refused_part_undoes_the_whole_change(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.ERROR)
    response = patch(client, url(experiment), {"max_trials": 8, "suspended": True})
    assert response.status_code == 409
    experiment.refresh_from_db()
    assert experiment.max_trials == 4
    assert not experiment.events.exists()


@pytest.mark.parametrize(
    "body",
    ['{"name": "\\ud800"}', '{"name": "a\\u0000b"}', "[" * 50_000, '{"notes": NaN}', "{"],
    ids=["half-character", "nul", "deep", "nan", "broken"],
)
def test_json_that_cannot_be_kept_is_refused(
    client: Client, make_experiment: Any, body: str
) -> None:
    response = patch(client, url(make_experiment()), body)
    assert response.status_code == 400
    assert list(errors(response)) == [""]


def test_a_huge_body_is_refused(client: Client, make_experiment: Any) -> None:
    response = patch(client, url(make_experiment()), json.dumps({"notes": "x" * 2_000_000}))
    assert response.status_code == 413


def test_deleting_hides_at_once(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    response = client.delete(url(experiment))
    assert response.status_code == 204
    assert client.get(url(experiment)).status_code == 404
    assert client.delete(url(experiment)).status_code == 404


def test_the_manifest_comes_back_with_todays_limits(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment()
    patch(client, url(experiment), {"max_trials": 9})
    response = client.get(url(experiment, "manifest/"), headers={"Accept": "application/yaml"})
    assert response["Content-Type"] == "application/yaml; charset=utf-8"
    manifest = yaml.safe_load(response.content)
    assert manifest["spec"]["maxTrialNum"] == 9
    again = client.post(LIST + "validate/", response.content, content_type="application/yaml")
    assert again.status_code == 200


def test_finishing_early(client: Client, make_experiment: Any) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    answer = post(client, url(experiment, "finish/")).json()
    assert answer["finishing"] is True
    done = make_experiment(phase=Phase.DONE)
    assert post(client, url(done, "finish/")).status_code == 409
    assert client.get(url(experiment, "finish/")).status_code == 405


def test_a_clone_has_the_current_limits_and_a_name_of_its_own(
    client: Client, make_experiment: Any
) -> None:
    experiment = make_experiment()
    patch(client, url(experiment), {"max_trials": 9})
    response = post(client, url(experiment, "clone/"), {"name": "second"})
    assert response.status_code == 201, response.content
    copy = Experiment.objects.get(pk=response.json()["id"])
    assert copy.pk != experiment.pk
    assert (copy.name, copy.max_trials, copy.phase) == ("second", 9, Phase.PENDING)
    unnamed = client.post(url(experiment, "clone/"), b"", content_type="application/json")
    assert unnamed.status_code == 201
    assert unnamed.json()["name"] == "sample"


def test_a_clone_with_a_bad_name_is_refused(client: Client, make_experiment: Any) -> None:
    response = post(client, url(make_experiment(), "clone/"), {"name": "Not A Name"})
    assert response.status_code == 400
    assert list(errors(response)) == ["name"]
    response = post(client, url(make_experiment(), "clone/"), {"nmae": "x"})
    assert list(errors(response)) == ["nmae"]


def test_every_failed_trial_is_retried_once(
    client: Client, make_experiment: Any, make_trial: Any
) -> None:
    experiment = make_experiment(phase=Phase.RUNNING)
    make_trial(experiment, state=TrialState.FAILED)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
    make_trial(experiment, state=TrialState.LOST)
    assert client.get(url(experiment)).json()["n_to_retry"] == 2
    answer = post(client, url(experiment, "retry-failed/")).json()
    assert client.get(url(experiment)).json()["n_to_retry"] == 0
    assert answer["count"] == 2
    assert [trial["number"] for trial in answer["trials"]] == [3, 4]
    assert post(client, url(experiment, "retry-failed/")).json()["count"] == 0
    ended = make_experiment(phase=Phase.TIMEOUT)
    assert post(client, url(ended, "retry-failed/")).status_code == 409


# ---- charts, events, algorithms


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


# ---- addresses that lead nowhere


@pytest.mark.parametrize("path", ["nothing/", "experiments/UPPER/", "experiments/abc/trials/x/"])
def test_an_unknown_route_is_a_json_404(client: Client, path: str) -> None:
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == 404
    assert "There is no such route." in errors(response)[""]


def test_a_missing_slash_is_explained_rather_than_redirected(client: Client) -> None:
    response = post(client, "/api/v1/experiments", MANIFEST)
    assert response.status_code == 404
    assert "end with a slash" in errors(response)[""]
