"""REST: who may come in, and addresses that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from experiments.access import policy
from experiments.access.tokens import make_api_token
from experiments.models import ApiToken, Experiment
from tests.conftest import MANIFEST
from tests.web.rest import LIST, errors, patch, post, url

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
    for rule in ("may_change", "may_delete"):
        monkeypatch.setattr(policy, rule, lambda user, experiment: False)
    assert client.get(url(experiment)).status_code == 200
    assert patch(client, url(experiment), {"notes": "mine"}).status_code == 403
    assert client.delete(url(experiment)).status_code == 403
    assert post(client, url(experiment, "finish/")).status_code == 403


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
