"""What answers tell browsers to keep and to encrypt, and that refusals are as the schema says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("experiments/", 200), ("algorithms/", 200), ("secrets/", 200), ("experiments/nix/", 404),
        ("nothing/", 404),
    ],
)  # fmt: skip
def test_rest_answers_are_not_stored(client: Client, path: str, status: int):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert answer["Cache-Control"] == "no-store"
    assert Client().get(f"/api/v1/{path}")["Cache-Control"] == "no-store"


def test_a_chart_is_kept_to_be_asked_about(client: Client, make_experiment: Any):
    answer = client.get(f"/api/v1/experiments/{make_experiment().pk}/charts/history/")
    assert answer["Cache-Control"] == "private, no-cache"


def test_browsers_are_told_to_stay_with_https(client: Client, settings: Any):
    assert "Strict-Transport-Security" not in client.get("/")
    settings.PUBLIC_URL = "https://tune.example"
    for path in ("/", "/api/v1/experiments/", "/sign-in/"):
        assert client.get(path)["Strict-Transport-Security"] == "max-age=31536000"


NAMES = """
import os, runpy, sys
for data in sys.argv[1:]:
    os.environ["AUTOTUNE_DATA"] = data
    read = runpy.run_path("autotune_web/settings.py")
    print(read["SESSION_COOKIE_NAME"], read["CSRF_COOKIE_NAME"])
"""


def names(*data: Path, **env: str) -> list[str]:
    """Of the cookies of the installations in these directories, each started anew."""
    return subprocess.run(
        [sys.executable, "-c", NAMES, *map(str, data)],
        env={"PATH": "/usr/bin", **env},
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip


def test_two_installations_on_a_host_have_cookies_of_their_own(tmp_path: Path):
    first, second, again = names(tmp_path / "a", tmp_path / "b", tmp_path / "a")
    assert not set(first.split()) & set(second.split())
    assert again == first, "a restart signs nobody out"
    one, other = names(tmp_path / "c", tmp_path / "d", SECRET_KEY="k")
    assert one == other
    assert django_settings.MESSAGE_STORAGE.endswith("SessionStorage"), "no third cookie"


def test_pages_of_lists_hold_lists(schema: dict[str, Any]):
    shapes = schema["components"]["schemas"]
    for name in ("EventPage", "TrialPage", "ExperimentPage"):
        assert shapes[name]["properties"]["results"]["type"] == "array", name


@pytest.mark.parametrize("body", [{"nmae": "x"}, {"name": "Not A Name"}, {"name": 5}, [1], "x{"])
def test_every_400_is_as_described(
    client: Client,
    make_experiment: Any,
    schema: dict[str, Any],
    body: Any,
):
    one = f"/api/v1/experiments/{make_experiment().pk}"
    for path, route in (
        (f"{one}/clone/", "/api/v1/experiments/{experiment_id}/clone/"),
        (f"{one}/trials/", "/api/v1/experiments/{experiment_id}/trials/"),
    ):
        answer = client.post(path, body, content_type="application/json")
        assert answer.status_code == 400
        described = schema["paths"][route]["post"]["responses"]["400"]["content"]
        reference = described["application/json"]["schema"]["$ref"]
        shape = schema["components"]["schemas"][reference.rpartition("/")[2]]
        assert set(answer.json()) == set(shape["properties"]) == {"errors", "warnings"}
