"""Rounds of drains and of a queue's evictions, on every engine: what each saw, and how it ended.

    python benchmarks/kube_rounds.py [--rounds 20]

Runs ``tests/kube/test_rounds.py`` for so many seeds on a control plane of its own (see
tests/kube/controlplane/build.sh). Ends with 1 where a round did not end DONE with exactly the
trials that were wanted, or counted a disruption as a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("seed", "engine", "replicas", "queued", "drained", "evicted", "anew")
COLUMNS += ("phase", "trials", "seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "rounds"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--all", "-n", "0", "-q", "tests/kube/test_rounds.py"],
            cwd=ROOT,
            env={
                **os.environ,
                "AUTOTUNE_ROUNDS": str(asked.rounds),
                "AUTOTUNE_ROUNDS_FILE": str(told),
            },
            check=False,
        )
        rows = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
    print("  ".join(f"{name:>11}" for name in COLUMNS))
    for row in rows:
        print("  ".join(f"{row[name]!s:>11}" for name in COLUMNS))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
