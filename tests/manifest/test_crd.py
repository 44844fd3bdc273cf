"""The CustomResourceDefinition as data; what an API server makes of it is tests/kube's business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.algorithms import registry
from experiments.manifest import crd
from experiments.manifest.fields import SPEC
from experiments.manifest.names import portable
from experiments.manifest.quantity import ABOVE_ZERO, NOT_NEGATIVE, parse_quantity
from experiments.problems import Problem

DEPLOYED = Path(__file__).parents[2] / "deploy" / "base" / "crd.yaml"


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a tree with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from schemas(schema[key], f"{path}[]")


def test_the_copy_in_deploy_is_the_generated_one() -> None:
    assert DEPLOYED.read_text() == crd.as_yaml(), "run: manage.py crd > deploy/base/crd.yaml"


def test_the_text_reads_back_as_the_object_and_holds_no_aliases() -> None:
    assert yaml.safe_load(crd.as_yaml()) == crd.custom_resource_definition()
    assert not re.search(r"[&*]id\d", crd.as_yaml())


def test_every_field_of_the_manifest_is_described() -> None:
    found = list(schemas(crd.schema_of(SPEC)))
    assert len(found) > 50
    assert [path for path, schema in found if "description" not in schema] == []


@pytest.mark.parametrize("kind", registry.KINDS)
@pytest.mark.parametrize("spelling", ["{}", "{}{Kind}", "{}-{kind}", " {} ", "x{}", "{}x", ""])
def test_names_are_those_that_the_parser_finds(kind: str, spelling: str) -> None:
    pattern = registry.names_pattern(kind)
    for name in registry.KINDS[kind]:
        for cased in (name, name.upper(), name.lower()):
            word = spelling.format(cased, kind=kind, Kind=kind.title())
            found = registry.find(kind, word)
            may_run = not isinstance(found, Problem) and found.available
            assert bool(pattern.match(word)) == may_run, word


@pytest.mark.parametrize(
    "text", ["1", "0", "0.0", ".5", "5.", "+1Gi", "-1", "0.01m", "00.10e3", "1e-3", "0Gi", "", "x"]
)
def test_quantity_patterns_say_what_the_parser_says(text: str) -> None:
    amount = parse_quantity(text)
    assert bool(NOT_NEGATIVE.match(text)) == (amount is not None and amount >= 0)
    assert bool(ABOVE_ZERO.match(text)) == (amount is not None and amount > 0)


def test_patterns_are_written_for_go() -> None:
    assert portable(re.compile(r"[a-z]+\Z")) == "^(?:[a-z]+)$"
    for path, schema in schemas(crd.custom_resource_definition()["spec"]["versions"][0]):
        assert not re.search(r"\\Z|\(\?[=!<][^P]", schema.get("pattern", "")), path
