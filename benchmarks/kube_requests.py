"""What an experiment asks of the API server: requests per trial, from the server's audit log.

    python benchmarks/kube_requests.py [--engine batch] [--trials 200] [--concurrency 50]

Starts a control plane of its own (see tests/kube/controlplane/build.sh) and runs one experiment on
it as ``./autotune run`` does. Prints all requests of this product by verb and resource, per trial;
watches are counted once each, however long they last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from experiments.training.kubernetes.api import USER_AGENT  # noqa: E402
from tests.base_manifest import base_manifest  # noqa: E402
from tests.kube.control_plane import ControlPlane, find_programs  # noqa: E402
from tests.kube.jobset import JobSets  # noqa: E402
from tests.kube.kubelet import Kubelet  # noqa: E402
from tests.kube.operators import Operators  # noqa: E402
from tests.kube.trainer import Trainer  # noqa: E402


def manifest(n_trials: int, concurrency: int) -> dict[str, Any]:
    command = [sys.executable, "-S", str(ROOT / "tests" / "kube" / "trial.py"), "1"]
    return base_manifest(
        "requests",
        command,
        image="registry.local/trial:1",
        maxExecSeconds=3600,
        maxTrialNum=n_trials,
        trialConcurrency=concurrency,
        tuner={"builtinTunerName": "Random"},
    )


def run(plane: ControlPlane, directory: Path, engine: str, n_trials: int, concurrency: int) -> None:
    file = directory / "experiment.json"
    file.write_text(json.dumps(manifest(n_trials, concurrency)))
    answer = subprocess.run(
        [
            *(sys.executable, str(ROOT / "manage.py"), "run", str(file), "--json"),
            *("--data", str(directory / "data")),
        ],
        env={
            **os.environ,
            "AUTOTUNE_TRAINING_ENGINE": engine,
            "KUBECONFIG": str(plane.kubeconfig),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600,
    )
    assert answer.returncode == 0, answer.stdout[-2000:]
    trials = json.loads(answer.stdout)["trials"]
    states = Counter(trial["state"] for trial in trials)
    assert states == {"SUCCEEDED": n_trials}, states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="batch")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=50)
    options = parser.parse_args()
    programs = find_programs()
    if programs is None:
        sys.exit("No control plane was found; build it by tests/kube/controlplane/build.sh.")
    with tempfile.TemporaryDirectory(prefix="autotune-bench-") as name:
        directory = Path(name)
        plane = ControlPlane(programs, directory / "plane")
        try:
            plane.start()
            with (
                Kubelet(plane, directory / "kubelet") as kubelet,
                Operators(kubelet),
                Trainer(kubelet),
                JobSets(plane),
            ):
                begun = time.perf_counter()
                run(plane, directory, options.engine, options.trials, options.concurrency)
                seconds = time.perf_counter() - begun
            events = plane.audit()
        finally:
            plane.stop()
    counts: Counter[str] = Counter()
    throttled = 0
    for event in events:
        if not event.get("userAgent", "").startswith(USER_AGENT):
            continue
        about = event.get("objectRef") or {}
        what = "/".join(x for x in (about.get("resource"), about.get("subresource")) if x)
        counts[f"{event['verb']} {what or event['requestURI']}"] += 1
        throttled += event.get("responseStatus", {}).get("code") == 429
    print(f"{options.engine}: {options.trials} trials, {options.concurrency} at a time, ", end="")
    print(f"{seconds:.0f} s, {throttled} answers 429")
    for what, count in counts.most_common():
        print(f"{count:7d}  {count / options.trials:6.2f} per trial  {what}")
    total = counts.total()
    print(f"{total:7d}  {total / options.trials:6.2f} per trial  in all")


if __name__ == "__main__":
    main()
