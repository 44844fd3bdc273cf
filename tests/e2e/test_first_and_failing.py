"""A whole experiment whose first trials are the user's own, and of which a region fails."""

from __future__ import annotations

import json

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


def test_run_tries_the_users_own_first_and_leaves_the_region_that_fails(tmp_path):
    unit = {"_type": "uniform", "_value": [0, 1]}
    training = manifest()["spec"]["trainingConfig"]
    (container,) = training["tasks"][0]["template"]["spec"]["containers"]
    container["command"] = ["python3", "-c", PROGRAM, "$(params.x)", "$(params.y)"]
    container.pop("args", None)
    file = write_manifest(
        tmp_path,
        maxTrialNum=22,
        trialConcurrency=2,
        breaker={"alike": 0},
        metrics={"objective": "loss"},
        searchSpace={"x": unit, "y": unit},
        initial=[{"x": 0.25, "y": 0.5}, {"x": 0.75}],
        trainingConfig=training,
        tuner={"builtinTunerName": "TPE", "classArgs": {"optimize_mode": "minimize", "seed": 3}},
    )
    answer = manage(tmp_path / "data", "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    trials = json.loads(answer.stdout)["trials"]
    assert [trial["origin"] for trial in trials[:3]] == ["initial", "initial", "start-up"]
    assert trials[0]["parameters"] == {"x": 0.25, "y": 0.5}
    assert trials[1]["parameters"]["x"] == 0.75
    failed = [trial["state"] == "FAILED" for trial in trials]
    assert failed == [trial["parameters"]["x"] > 0.5 for trial in trials]
    assert sum(failed[:12]) >= 3
    assert sum(failed[12:]) <= 2
