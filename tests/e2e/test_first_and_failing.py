"""A whole experiment with all at once: the user's own trials first, a past, a region that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import manage, manifest, write_manifest

pytestmark = [pytest.mark.stack, pytest.mark.long]

PROGRAM = """
import sys
x, y = map(float, sys.argv[1:])
if x > 0.5:
    raise MemoryError("too large")
print(f"loss={(x - 0.3) ** 2 + (y - 0.6) ** 2}")
"""


def ran(directory: Path, name: str, tuner: str, **spec: Any) -> dict[str, Any]:
    """What ``autotune run`` says of an experiment with this program, at its end."""
    unit = {"_type": "uniform", "_value": [0, 1]}
    training = manifest()["spec"]["trainingConfig"]
    (container,) = training["tasks"][0]["template"]["spec"]["containers"]
    container["command"] = ["python3", "-c", PROGRAM, "$(params.x)", "$(params.y)"]
    container.pop("args", None)
    arguments = {"optimize_mode": "minimize", "seed": 3}
    file = write_manifest(
        directory,
        name=name,
        trialConcurrency=2,
        breaker={"alike": 0},
        metrics={"objective": "loss"},
        searchSpace={"x": unit, "y": unit},
        trainingConfig=training,
        tuner={"builtinTunerName": tuner, "classArgs": arguments},
        **spec,
    )
    answer = manage(directory / "data", "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_run_tries_the_users_own_first_then_the_past_and_leaves_the_region_that_fails(tmp_path):
    past = ran(tmp_path, "past", "Random", maxTrialNum=14)
    own = [{"x": 0.25, "y": 0.5}, {"x": 0.75}]
    trials = ran(
        tmp_path,
        "now",
        "TPE",
        maxTrialNum=22,
        initial=own,
        warmStart={"experiments": [past["experiment"]["id"]]},
    )["trials"]
    assert [trial["origin"] for trial in trials[:3]] == ["initial", "initial", "borrowed"]
    assert trials[0]["parameters"] == own[0]
    assert trials[1]["parameters"]["x"] == 0.75
    failed = [trial["state"] == "FAILED" for trial in trials]
    assert failed == [trial["parameters"]["x"] > 0.5 for trial in trials]
    assert failed[1]
    assert sum(failed[12:]) <= 2
    assert sum(trial["origin"] == "borrowed" for trial in trials) >= 5
