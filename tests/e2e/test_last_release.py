"""The data directory of the last release, killed in the middle, starts and runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.loop.test_last_release import unpack

pytestmark = pytest.mark.stack


def test_the_last_release_s_data_directory_starts_and_runs_on(tmp_path: Path):
    data = unpack(tmp_path)
    runs_on(Stack(data), data)


def runs_on(stack: Stack, data: Path) -> None:
    """What was finished shows as it was, what was killed goes on to its end."""
    stack._token = (data / "token.txt").read_text()  # REST tokens of before go on
    try:
        stack.start("--no-sample")
        _, listed = stack.api("GET", "experiments/?page_size=50")
        ids = {row["name"]: row["id"] for row in listed["results"]}
        assert set(ids) == {"finished", "copy", "unfinished"}
        finished = ids["finished"]
        assert stack.experiment(finished)["phase"] == "DONE"
        states = [trial["state"] for trial in stack.trials(finished)]
        assert states == ["SUCCEEDED"] * 6 + ["EARLY_STOPPED"] * 2 + ["FAILED"]
        for route in ("charts/history/", "charts/curves/", "charts/parcoords/", "events/"):
            assert stack.api("GET", f"experiments/{finished}/{route}")[0] == 200
        for form in ("json", "csv", "yaml", "html"):
            assert stack.api("GET", f"experiments/{finished}/export/?format={form}")[0] == 200

        head = stack.wait_for_phase(ids["unfinished"], "DONE", "ERROR", "TIMEOUT")
        assert head["phase"] == "DONE", head["message"]
        trials = stack.trials(ids["unfinished"])
        assert [trial["number"] for trial in trials][:4] == [0, 1, 2, 3]
        assert {trial["state"] for trial in trials} <= {"SUCCEEDED", "FAILED", "LOST"}
        reasons = [(trial["state"], trial["reason"]) for trial in trials]
        # what is proposed now may be of the kind that the script fails for (exit code 3)
        assert "SUCCEEDED" in dict(reasons), reasons
        assert {why for state, why in reasons[2:] if state == "FAILED"} <= {"exit code 3"}, reasons
        assert stack.experiment(ids["copy"])["suspended"] is True
        assert stack.api("DELETE", f"experiments/{ids['copy']}/")[0] == 204
    finally:
        stack.stop()
        stack.end_trials()
