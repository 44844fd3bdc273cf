"""``spec.warmStart``: what is taken, and what is refused with its field."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.manifest.spec import parse_manifest, to_manifest
from experiments.manifest.warm_start_spec import WarmStartSpec
from experiments.problems import ProblemsError
from tests.manifest.manifests import small


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"experiments": ["tnpgl7e4"]}, WarmStartSpec(("tnpgl7e4",))),
        ({"experiments": ["a0000001", "b0000002"], "trials": "top 20"},
         WarmStartSpec(("a0000001", "b0000002"), 20)),
        ({"experiments": ["a0000001"], "trials": "all"}, WarmStartSpec(("a0000001",))),
    ],
)  # fmt: skip
def test_what_is_taken_is_written_again(given: dict[str, Any], found: WarmStartSpec) -> None:
    spec = parse_manifest(small({"spec.warmStart": given})).spec
    assert spec.warm_start == found
    again = to_manifest(spec)
    assert parse_manifest(again).spec == spec


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, ""),
        ([], ""),
        ({"experiments": []}, ".experiments"),
        ({"experiments": "tnpgl7e4"}, ".experiments"),
        ({"experiments": ["digits"]}, ".experiments[0]"),
        ({"experiments": [7]}, ".experiments[0]"),
        ({"experiments": ["a0000001", "a0000001"]}, ".experiments[1]"),
        ({"experiments": [f"a{n:07}" for n in range(21)]}, ".experiments"),
        ({"experiments": ["a0000001"], "trials": "top 0"}, ".trials"),
        ({"experiments": ["a0000001"], "trials": 20}, ".trials"),
        ({"experiments": ["a0000001"], "trials": ""}, ".trials"),
        ({"experiments": ["a0000001"], "trial": "all"}, ".trial"),
    ],
)
def test_what_is_refused_names_its_field(given: Any, path: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse_manifest(small({"spec.warmStart": given}))
    assert [problem.path for problem in caught.value.problems] == [f"spec.warmStart{path}"]
