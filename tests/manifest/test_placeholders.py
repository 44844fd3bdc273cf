"""``$(params.NAME)`` in a manifest's words: values as text, and names that no trial would have."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.manifest.forecast import forecast_of
from experiments.manifest.placeholders import parameter_text, value_text
from experiments.manifest.spec import ProblemsError, parse_manifest
from tests.manifest.manifests import CONTAINER, small

ARGS = "spec.trainingConfig.tasks[0].template.spec.containers[0].args"
SPACE = {
    "lr": {"_type": "loguniform", "_value": [0.0001, 0.1]},
    "a.b": {"_type": "randint", "_value": [1, 9]},
    "layer": {
        "_type": "choice",
        "_value": [
            {"_name": "none"},
            {"_name": "conv", "size": {"_type": "choice", "_value": [3, 5]}},
            {"_name": "dense", "size": {"_type": "randint", "_value": [8, 64]}, "drop": {
                "_type": "uniform", "_value": [0, 1]}},
        ],
    },
    "cell": {"_type": "choice", "_value": [{"kind": "gru", "n": 1}, {"kind": "lstm"}]},
}  # fmt: skip


def parsed(word: str, **spec: Any) -> Any:
    fields = {f"spec.{name}": value for name, value in spec.items()}
    return parse_manifest(small({"spec.searchSpace": SPACE, f"{CONTAINER}.args": [word], **fields}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53, "9007199254740992"), (3, "3"), (1e-05, "1e-05"), (0.1, "0.1"), (5.0, "5.0"),
        (True, "true"), (None, "null"), ("two words; $HOME", "two words; $HOME"), ("", ""),
        ({"_name": "é", "n": [1, 2.5]}, '{"_name": "é", "n": [1, 2.5]}'),
    ],
)  # fmt: skip
def test_a_value_is_written_exactly(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_names_are_found_whole_before_they_are_taken_apart() -> None:
    parameters = {"a": {"b": 1, "c": {"d": 2}}, "a.b": 3, "a.c": 4}
    found = {n: parameter_text(f"params.{n}", parameters) for n in ("a.b", "a.c.d", "a.x", "a.b.c")}
    assert found == {"a.b": "3", "a.c.d": "2", "a.x": None, "a.b.c": None}
    assert parameter_text("params", {"lr": 0.5}) == '{"lr": 0.5}'
    assert (parameter_text("paramsx", parameters), parameter_text("LR", parameters)) == (None, None)


@pytest.mark.parametrize(
    "word",
    [
        "--lr=$(params.lr)", "$(params.a.b)", "$(params)", "$(params.layer)",
        "$(params.layer._name)", "$(params.cell.kind)", "$$(params.nothing)", "$(NNI_EXP_ID)",
        "$params.nothing",
        "$(paramsnothing)",
    ],
)  # fmt: skip
def test_what_every_trial_has_is_taken(word: str) -> None:
    assert parsed(word)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("--lr=$(params.LR)", ["has no 'LR'", "mean $(params.lr)"]),
        ("$(params.)", ["has no ''"]),
        ("$(params.lr.x)", ["has no 'lr.x'"]),
        ("$$$(params.nothing)", ["has no 'nothing'", "write '$$(params.nothing)'"]),
        ("$(params.layer.size)", ['only where \'layer\' is "conv", "dense"', 'it is "none"']),
        ("$(params.layer.drop)", ["only where 'layer' is \"dense\", not", "'$(params.layer)'"]),
        ("$(params.layer.nothing)", ["has no 'layer.nothing'"]),
        ("$(params.cell.n)", ["only where 'cell' is"]),
    ],
)
def test_what_a_trial_may_lack_is_an_error_with_its_path(word: str, words: list[str]) -> None:
    with pytest.raises(ProblemsError) as caught:
        parsed(word)
    (problem,) = caught.value.problems
    assert problem.path == f"{ARGS}[0]"
    for part in words:
        assert part in f"{problem.message} {problem.hint}"


def test_every_container_and_env_is_looked_at() -> None:
    pod = f"{CONTAINER.rpartition('.containers')[0]}"
    changes = {
        f"{CONTAINER}.env": [{"name": "A", "value": "$(params.x)"}, {"name": "B"}],
        f"{pod}.initContainers": [{"name": "i", "command": ["$(params.y)"]}],
    }
    with pytest.raises(ProblemsError) as caught:
        parse_manifest(small(changes))
    paths = [problem.path.partition("template.spec.")[2] for problem in caught.value.problems]
    assert paths == ["containers[0].env[0].value", "initContainers[0].command[0]"]


def test_the_file_of_metrics_is_looked_at_too() -> None:
    """A wrong name stood in the file's, so that every trial looked for the same strange file."""
    metrics = {"objective": "loss", "file": "run-$(params.lr).csv"}
    assert parsed("x", metrics=metrics)
    with pytest.raises(ProblemsError, match="has no 'LR'") as caught:
        parsed("x", metrics={**metrics, "file": "run-$(params.LR).csv"})
    assert [problem.path for problem in caught.value.problems] == ["spec.metrics.file"]


def test_what_an_algorithm_adds_may_be_named() -> None:
    advisor = {"builtinAdvisorName": "Hyperband"}
    assert parsed("$(params.TRIAL_BUDGET)", tuner=None, advisor=advisor)
    with pytest.raises(ProblemsError):
        parsed("$(params.TRIAL_BUDGET)")


def test_of_a_batch_the_configurations_names_count() -> None:
    members = [{"opt": "adam", "lr": 1}, {"opt": "sgd"}]
    space = {"c": {"_type": "choice", "_value": members}}
    batch = {"builtinTunerName": "Batch"}
    assert parsed("$(params.opt)", searchSpace=space, tuner=batch)
    with pytest.raises(ProblemsError, match="1 of the 2 configurations of 'c' have no 'lr'"):
        parsed("$(params.lr)", searchSpace=space, tuner=batch)


def test_katib_s_spelling_is_warned_of() -> None:
    spec = parsed("--lr=${trialParameters.lr}").spec
    said = [w for w in forecast_of(spec).warnings if "Katib" in w.message]
    assert [(w.path, w.hint) for w in said] == [
        (f"{ARGS}[0]", "Write '$(params.lr)', with the parameter's name.")
    ]
