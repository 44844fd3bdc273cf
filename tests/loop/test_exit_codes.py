"""What `run` tells whoever called it, for every way in which an experiment can end."""

from __future__ import annotations

import pytest

from experiments.management.commands import run


@pytest.mark.parametrize(
    ("phase", "tripped", "states", "code"),
    [
        ("DONE", False, ["SUCCEEDED", "FAILED"], 0),
        ("DONE", False, [], 0),  # finished early by somebody
        ("DONE", False, ["CANCELED"], 0),
        ("DONE", False, ["FAILED"], 4),
        ("DONE", False, ["EARLY_STOPPED", "LOST"], 4),
        ("TIMEOUT", False, ["SUCCEEDED", "FAILED"], 3),
        ("TIMEOUT", False, ["CANCELED"], 3),  # none had the time to end
        ("TIMEOUT", False, ["CANCELED", "FAILED"], 4),
        ("ERROR", False, ["SUCCEEDED"], 4),
        ("RUNNING", True, ["SUCCEEDED", "FAILED"], 3),
        ("RUNNING", True, ["FAILED"], 4),
    ],
)
def test_what_the_exit_code_says(make_experiment, make_trial, phase, tripped, states, code):
    experiment = make_experiment(
        phase=phase, suspended=tripped, breaker={"reason": "x"} if tripped else None
    )
    for state in states:
        make_trial(experiment, state=state)
    assert run._exit_code(experiment) == code
