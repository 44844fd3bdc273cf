"""What is forecast before anything runs, by the manifest's rules and by this machine's backend."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from experiments.services.intake import take_in
from tests.conftest import MANIFEST


def with_container(**fields: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(MANIFEST)
    task = manifest["spec"]["trainingConfig"]["tasks"][0]
    task["template"]["spec"]["containers"][0].update(fields)
    return manifest


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"workingDir": "/no/such/place"}, "workingDir", "directory /no/such/place does not exist"),
        ({"command": ["no-such-program"]}, "command[0]", "command not found: no-such-program"),
    ],
)
def test_what_this_machine_lacks_is_a_warning_at_its_field(fields, path, words):
    found = take_in(with_container(**fields))
    assert found.problems == ()
    warning = next(warning for warning in found.warnings if warning.path.endswith(path))
    assert words in warning.message
    assert warning.path.startswith("spec.trainingConfig.tasks[0].template.spec.containers[0].")


def test_what_can_start_has_no_such_warning(tmp_path):
    assert take_in(with_container(workingDir=str(tmp_path))).warnings == ()


def test_what_can_never_start_here_is_a_problem_and_said_once():
    found = take_in(with_container(workingDir="relative/place"))
    assert ["relative/place" in problem.message for problem in found.problems] == [True]
    assert not [w for w in found.warnings if w.path.endswith("workingDir")]


def test_local_trials_can_be_forbidden(settings):
    settings.LOCAL_TRIALS = False
    problems = take_in(MANIFEST).problems
    assert [problem.path for problem in problems] == ["spec.trainingConfig"]
    assert "AUTOTUNE_LOCAL_TRIALS" in problems[0].message
