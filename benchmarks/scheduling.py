"""What the loop costs: 200 trials that do nothing, four at a time, on this machine.

    python benchmarks/scheduling.py [--trials 200] [--concurrency 4]

Prints, per trial: the process's own time (the same command, started bare, equally many at once),
the slot time in an experiment (wall time times places, per trial) and their difference, the
overhead; the gap from a trial's end to the start of the next one (p50, p99); the ratio of slot
time to own time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.base_manifest import base_manifest  # noqa: E402

TRIAL = "import autotune_trial as t; t.report_final(1.0)"


def manifest(n_trials: int, concurrency: int) -> dict[str, Any]:
    return base_manifest(
        "no-op",
        ["python3", "-c", TRIAL],
        maxExecSeconds=3600,
        maxTrialNum=n_trials,
        trialConcurrency=concurrency,
        tuner={"builtinTunerName": "Random"},
    )


def bare_seconds(n_trials: int, concurrency: int) -> float:
    """Slot time of the bare process: wall time times places, per trial."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "experiments" / "training" / "client")}

    def one(_: int) -> None:
        subprocess.run(
            [sys.executable, "-c", TRIAL], env=env, stdout=subprocess.DEVNULL, check=True
        )

    begun = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, range(n_trials)))
    return (time.perf_counter() - begun) * concurrency / n_trials


def run(n_trials: int, concurrency: int) -> list[tuple[float, float]]:
    """Start and end of each trial, in seconds since the epoch, by start."""
    with tempfile.TemporaryDirectory(prefix="autotune-bench-") as directory:
        file = Path(directory) / "experiment.json"
        file.write_text(json.dumps(manifest(n_trials, concurrency)))
        answer = subprocess.run(
            [
                *(sys.executable, str(ROOT / "manage.py"), "run", str(file), "--json"),
                *("--data", str(Path(directory) / "data")),
                *("--python", sys.executable),  # as the bare process
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
        )
    trials = json.loads(answer.stdout)["trials"]
    assert len(trials) == n_trials
    assert {trial["state"] for trial in trials} == {"SUCCEEDED"}
    return sorted(
        (
            datetime.fromisoformat(trial["started_at"]).timestamp(),
            datetime.fromisoformat(trial["finished_at"]).timestamp(),
        )
        for trial in trials
    )


def gaps(times: list[tuple[float, float]], concurrency: int) -> list[float]:
    """From each end to the start that took its place."""
    starts = sorted(start for start, _ in times)[concurrency:]
    ends = sorted(end for _, end in times)
    return [start - end for start, end in zip(starts, ends, strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=4)
    options = parser.parse_args()
    before = bare_seconds(options.trials // 2, options.concurrency)
    times = run(options.trials, options.concurrency)
    after = bare_seconds(options.trials // 2, options.concurrency)
    own = (before + after) / 2
    wall = max(end for _, end in times) - min(start for start, _ in times)
    slot = wall * options.concurrency / options.trials
    found = sorted(gaps(times, options.concurrency))
    print(f"trials {options.trials}, concurrency {options.concurrency}, wall {wall:.2f} s")
    print(f"own process      {own * 1e3:8.1f} ms a trial")
    print(f"in an experiment {slot * 1e3:8.1f} ms a trial (slot time)")
    print(f"overhead         {(slot - own) * 1e3:8.1f} ms a trial")
    print(f"ratio            {slot / own:8.2f}")
    print(f"gap end → start  p50 {statistics.median(found) * 1e3:.1f} ms, "
          f"p99 {found[int(0.99 * (len(found) - 1))] * 1e3:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
