"""Many trials at once on a real API server: time, requests a trial, memory and lag of each role.

    nice python benchmarks/kube_scale.py [--trials 1000] [--concurrency 200] [--workers 2]

Starts a control plane of its own (tests/kube/controlplane/build.sh), the product as deploy/ has it
(each role under its own account), a kubelet that is played, and further workers; applies one
AutoTuneExperiment and waits for its end. Memory is asked of the kernel, lag of the ticker's figures
for Prometheus, requests of the API server's audit log. Everything shares this machine, the control
plane and the trials included: on a busy one go by requests and memory, not by seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
os.environ.setdefault("AUTOTUNE_DATA", tempfile.mkdtemp(prefix="autotune-bench-data-"))
import django  # noqa: E402

django.setup()

from experiments.monitoring.door import OFFSETS  # noqa: E402
from tests.e2e.stack import environment, free_port  # noqa: E402
from tests.kube.control_plane import ControlPlane, find_programs  # noqa: E402
from tests.kube.installed import Installed, installation, specification  # noqa: E402
from tests.kube.kubelet import Kubelet  # noqa: E402

TRIAL = ROOT / "tests" / "kube" / "trial.py"
WORKER = (
    *("-m", "celery", "-A", "autotune_web", "--quiet", "worker", "--pool", "threads"),
    *("--concurrency", "4", "--prefetch-multiplier", "1", "--without-gossip"),
    *("--without-mingle", "--without-heartbeat", "--loglevel", "WARNING", "-Q", "autotune"),
)


@contextmanager
def further_workers(here: Installed, count: int) -> Iterator[dict[str, int]]:
    data = here.stack.data
    env = environment(data, **here.stack.env)
    env |= {"AUTOTUNE_PUBLIC_URL": here.stack.url, "AUTOTUNE_METRICS": ""}
    started = {}
    try:
        for number in range(count):
            with (data / f"worker-{number}.log").open("wb") as log:
                started[f"worker {number + 2}"] = subprocess.Popen(
                    [sys.executable, *WORKER, "-n", f"further{number}@%h"],
                    env=env, cwd=ROOT, stdout=log, stderr=log,
                )  # fmt: skip
        yield {name: process.pid for name, process in started.items()}
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait(timeout=30)


def figure(port: int, role: str, name: str) -> float:
    url = f"http://127.0.0.1:{port + OFFSETS[role]}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
    except OSError:
        pass
    return float("nan")


def follow(here: Installed, name: str, port: int, pids: dict[str, int], limit_s: float) -> None:
    """Print what there is to see every ten seconds, and the peaks at the end."""
    peaks: dict[str, float] = defaultdict(float)
    lags, most_running = [], 0
    begun, said = time.monotonic(), 0.0
    status: dict[str, Any] = {}
    while status.get("phase") not in ("DONE", "TIMEOUT", "ERROR"):
        if time.monotonic() - begun > limit_s:
            print("not finished in time")
            break
        time.sleep(2)
        status = here.objects.status(name)
        for role, pid in pids.items():
            peaks[role] = max(peaks[role], psutil.Process(pid).memory_info().rss / 2**20)
        lags.append(figure(port, "ticker", "autotune_reconcile_lag_seconds"))
        most_running = max(most_running, (status.get("trials") or {}).get("running", 0))
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(
                f"{said - begun:6.0f} s  {status.get('progress')}  lag {lags[-1]:.1f} s", flush=True
            )
    known = sorted(lag for lag in lags if lag == lag)
    print(f"phase {status.get('phase')}, {status.get('trials')}, {time.monotonic() - begun:.0f} s")
    print(f"at most {most_running} ran at once; load of the machine {os.getloadavg()}")
    print(f"lag of the loop: median {known[len(known) // 2]:.1f} s, most {known[-1]:.1f} s")
    age = time.time() - figure(port, "operator", "autotune_operator_last_pass_timestamp_seconds")
    print(f"the operator's last pass is {age:.1f} s old")
    for role, size in peaks.items():
        used = psutil.Process(pids[role]).cpu_times()
        print(f"{role:10}  at most {size:5.0f} MiB, {used.user + used.system:6.0f} CPU s")


def requests(plane: ControlPlane, n_trials: int) -> None:
    counts: Counter[str] = Counter()
    for event in plane.audit():
        agent = event.get("userAgent", "")
        if agent.startswith(("autotune-web", "kopf")):
            about = event.get("objectRef") or {}
            what = "/".join(x for x in (about.get("resource"), about.get("subresource")) if x)
            code = event.get("responseStatus", {}).get("code", 0)
            refused = f" {code}" if code >= 400 else ""
            counts[f"{event['verb']} {what or event['requestURI']}{refused}"] += 1
    for what, count in counts.most_common(15):
        print(f"{count:7d}  {count / n_trials:6.2f} per trial  {what}")
    print(f"{counts.total():7d}  {counts.total() / n_trials:6.2f} per trial  in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--each", type=float, default=15, help="seconds that a trial takes")
    parser.add_argument("--seconds", type=float, default=3600, help="give up then")
    options = parser.parse_args()
    programs = find_programs()
    if programs is None:
        sys.exit("No control plane was found; build it by tests/kube/controlplane/build.sh.")
    with tempfile.TemporaryDirectory(prefix="autotune-bench-") as place:
        directory = Path(place)
        plane = ControlPlane(programs, directory / "plane")
        port = free_port()
        try:
            plane.start()
            plane.make_namespace("scale")
            settings = {"AUTOTUNE_METRICS": f"127.0.0.1:{port}"}
            with (
                Kubelet(plane, directory / "kubelet"),
                installation(plane, "scale", directory, **settings) as here,
                further_workers(here, options.workers - 1) as more,
            ):
                assert here.operator._process is not None
                pids = {**here.stack.pids(), "operator": here.operator._process.pid, **more}
                made = specification(
                    TRIAL, options.each, maxExecSeconds=36000, maxTrialNum=options.trials,
                    trialConcurrency=options.concurrency, tuner={"builtinTunerName": "Random"},
                )  # fmt: skip
                name = here.objects.apply(made)
                follow(here, name, port, pids, options.seconds)
            requests(plane, options.trials)
        finally:
            plane.stop()


if __name__ == "__main__":
    main()
