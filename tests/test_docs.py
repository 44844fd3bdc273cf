"""The guides name everything there is: a new setting, route or algorithm without words fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from experiments.algorithms.registry import ADVISORS, ASSESSORS, TUNERS
from experiments.charts import CHARTS
from experiments.rest.urls import urlpatterns
from tests.many_cases import each

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
REST = (ROOT / "docs" / "rest.md").read_text()

VARIES = {"number:number": "NUMBER", "slug:kind": "KIND"}


def test_every_environment_variable_of_the_settings_is_documented():
    settings = (ROOT / "autotune_web" / "settings.py").read_text()
    names = set(re.findall(r'env_\w+\(\s*"([A-Z_]+)"', settings))
    assert len(names) > 8
    assert sorted(name for name in names if f"`{name}`" not in CONFIGURATION) == []


def routes(patterns: list[Any] = urlpatterns, before: str = "") -> list[str]:
    """Every REST route below /api/v1/, with ID, NUMBER and KIND for what varies."""
    found = []
    for pattern in patterns:
        text = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            found += routes(pattern.url_patterns, text)
        elif text.startswith("v1/") and "^" not in text:
            route = re.sub(r"<([^>]*)>", lambda m: VARIES.get(m[1], "ID"), text)
            found.append(route.removeprefix("v1/"))
    return sorted(set(found))


def test_there_are_routes_to_look_for():
    assert len(routes()) > 15


@each("route", routes())
def test_every_rest_route_is_documented(route: str):
    last = route.rstrip("/").rsplit("/", 1)[-1]
    assert f"`{route}`" in REST or f"`{last}/" in REST, f"{route} has no entry in docs/rest.md"


def test_every_chart_is_documented():
    assert [kind for kind in CHARTS if f"`{kind}`" not in REST] == []


@each("name", [*TUNERS, *ASSESSORS, *ADVISORS])
def test_every_algorithm_has_an_entry(name: str):
    assert re.search(rf"^#+ .*\b{name}\b", (ROOT / "docs" / "algorithms.md").read_text(), re.M)


@pytest.mark.parametrize("guide", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_links_between_the_guides_lead_somewhere(guide: str):
    text = (ROOT / "docs" / guide).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / "docs" / target).exists(), f"{guide}: {target}"


def test_links_of_the_front_door_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_examples_need_what_the_project_pins():
    def pins(file: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / file).read_text(), re.M))

    example = pins("examples/requirements-xgboost.txt")
    ours = pins("requirements.txt") | pins("requirements-dev.txt")
    assert example.keys() >= {"scikit-learn", "xgboost-cpu"}, "what the script imports"
    assert {name: example[name] for name in example.keys() & ours.keys()}.items() <= ours.items()


def test_the_folder_list_names_what_there_is_and_nothing_else():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = re.search(r"```\nalgorithms/.*?\n```", text, re.S)
    assert listed is not None
    words = re.findall(r"^\S+|(?<= )[a-z_]+(?:\.py|/)(?= |\n)", listed[0], re.M)
    named = {word.rstrip("/") for word in words if word.endswith((".py", "/"))}
    there = {
        path.name
        for path in (ROOT / "experiments").iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or path.is_dir())
    }
    below = {"space", "tuners", "assessors", "advisors", "numerics", "local", "kubernetes", "jobs"}
    assert named - below - {"jobs"} == there


def test_the_front_page_of_the_architecture_names_files_that_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`([a-z_/]+\.py)`", text):
        found = ROOT / name if name.startswith("experiments/") else ROOT / "experiments" / name
        assert found.exists(), name
