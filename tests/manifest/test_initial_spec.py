"""``spec.initial``: what may stand in it, and that it is written back."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.manifest.spec import ProblemsError, parse_manifest, to_manifest
from tests.manifest.manifests import small

SPACE = {
    "lr": {"_type": "loguniform", "_value": [0.0001, 0.1]},
    "net": {
        "_type": "choice",
        "_value": [{"_name": "conv", "kernel": {"_type": "choice", "_value": [1, 3]}}, "plain"],
    },
}


def parse(initial: Any, **changes: Any) -> Any:
    spec = {f"spec.{name}": value for name, value in changes.items()}
    return parse_manifest(small({"spec.searchSpace": SPACE, "spec.initial": initial, **spec}))


def test_whole_and_partial_ones_in_order_as_mappings_or_json_text() -> None:
    given = [{"lr": 0.01, "net": "plain"}, '{"net": {"_name": "conv"}}', {"lr": 0.1}]
    spec = parse(given).spec
    assert spec.initial == (given[0], {"net": {"_name": "conv"}}, given[2])
    assert parse_manifest(to_manifest(spec)).spec == spec
    assert parse([]).spec.initial == ()


@pytest.mark.parametrize(
    ("initial", "path", "message"),
    [
        ({"lr": 0.01}, "spec.initial", "must be a list of configurations, but got"),
        ([0.01], "spec.initial[0]", "must be a mapping or JSON text of one, but got"),
        ([{"lr": 0.01}, {}], "spec.initial[1]", "must set at least one parameter."),
        ([{"lr": 7}], "spec.initial[0].lr", "must be"),
        ([{"Lr": 0.01}], "spec.initial[0].Lr", "'Lr' is not a parameter of the search space."),
        ([{"net": {"_name": "conv", "kernel": 2}}], "spec.initial[0].net.kernel", "must be one of"),
        ([{"net": "conv"}], "spec.initial[0].net", "must be one of"),
        ([{"lr": 0.01}] * 1001, "spec.initial", "must be at most 1000 configurations"),
    ],
)
def test_what_is_wrong_is_named(initial: Any, path: str, message: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse(initial)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert problem.message.startswith(message)


def test_batch_runs_its_own_list_and_more_than_the_trials_are_too_many() -> None:
    batch = {"builtinTunerName": "Batch"}
    with pytest.raises(ProblemsError, match="is not for Batch"):
        parse([{"x": 1}], tuner=batch, searchSpace={"x": {"_type": "choice", "_value": [1, 2]}})
    warnings = {w.path: w.message for w in parse([{"lr": 0.01}] * 3, maxTrialNum=2).warnings}
    assert warnings["spec.initial"] == "Of 3 configurations the first maxTrialNum=2 run."
