"""GPUs as slots, and imports paid once: on a machine with one NVIDIA GPU and torch.

    python benchmarks/gpu_slots.py [--seconds 290] [--trials 12]

Runs the same experiment at 1, 2 and 4 trials per GPU and by measured memory, with and without
``preload``; then a trial that runs out of memory, a job of which one replica asked for no GPU, and
one experiment in whose middle everything is killed and which a new server brings to its end.

Prints for each the wall time and trials per minute, how long a trial takes from its start to the
first line of its script and to the end of its imports, and which devices trials saw; exit code 1
where one saw a device that it was not given, a trial was lost or a process was left behind. What
no longer fits into ``--seconds`` is left out, with a word: runs without preload come last, and
the slow ones of them with fewer trials.

Without torch (``AUTOTUNE_GPUS=0`` where there is no GPU either) trials are a stand-in on the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tests.base_manifest import base_manifest  # noqa: E402

HAS_TORCH = importlib.util.find_spec("torch") is not None
MODULES = ["torch"] if HAS_TORCH else ["numpy", "sklearn.ensemble"]
SPACE = {
    "lr": {"_type": "loguniform", "_value": [0.001, 0.5]},
    "width": {"_type": "choice", "_value": [512, 1024, 2048, 4096]},
}
EATS = {**SPACE, "eat": {"_type": "choice", "_value": [1]}}
MARK = "AUTOTUNE_JOB_DIR="


def manifest(name: str, n_trials: int, at_once: int, local: dict[str, Any]) -> dict[str, Any]:
    made = base_manifest(
        name,
        ["python3", "gpu_trial.py"],
        maxExecSeconds=600,
        maxTrialNum=n_trials,
        trialConcurrency=at_once,
        searchSpace=SPACE,
        local=local,
    )
    container = made["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"][0]
    container["workingDir"] = str(HERE)
    container["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    return made


# ---- what trials saw


@dataclass
class Looks:
    """What the trials of one experiment printed, and how the experiment went."""

    wall: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    saw: list[dict[str, Any]] = field(default_factory=list)
    trained: list[dict[str, Any]] = field(default_factory=list)

    def line(self, name: str) -> str:
        n_good = self.states.get("SUCCEEDED", 0)
        first, imported = ([each[key] for each in self.saw] for key in ("first_line", "imported"))
        trained = [each["seconds"] for each in self.trained]
        peaks = [each["peak_mib"] for each in self.trained if "peak_mib" in each]
        words = [
            f"{name:34} {sum(self.states.values()):3} trials {self.wall:7.1f} s",
            f"{60 * n_good / self.wall if self.wall else 0:7.1f} a minute",
            f"first line {_spread(first)}",
            f"imported {_spread(imported)}",
            f"trained {_spread(trained)}",
            f"peak MiB {min(peaks)}–{max(peaks)}" if peaks else "",
            ", ".join(f"{count} {state}" for state, count in self.states.items()),
            "; ".join(sorted({each for each in self.reasons if each})[:3]),
        ]
        return " | ".join(word for word in words if word)


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} (≤ {max(values):.2f}) s"


def printed(data: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All that trials printed about themselves: job, word, content."""
    for log in sorted(data.glob("trials/at-*/*.log")):
        for line in log.read_text(errors="replace").splitlines():
            word, _, rest = line.partition(" ")
            if word in ("SAW", "TRAINED"):
                with contextlib.suppress(ValueError):
                    yield f"{log.parent.name}/{log.name}", word, json.loads(rest)


def strangers(data: Path) -> list[str]:
    """Trials that saw a device other than those they were given."""
    found = []
    for job, word, what in printed(data):
        given = [] if what["visible"] in (None, "", "-1", "void") else what["visible"].split(",")
        wrong = what["visible"] is None if not what["rank"] else bool(given)
        if by_uuid := [each for each in given if each.startswith("GPU-")]:
            wrong = wrong or set(what["seen"]) != set(by_uuid)
        if word == "SAW" and (wrong or len(what["seen"]) > len(given)):
            found.append(f"{job}: given {what['visible']}, saw {what['seen']}")
    return found


# ---- runs


class Bench:
    """Runs experiments in data directories of their own, within a time."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.until = time.monotonic() + seconds
        self.wrong: list[str] = []
        self.environment = {**os.environ, "AUTOTUNE_SLOTS": str(folder / "slots")}

    def room_for(self, name: str, seconds: float) -> bool:
        left = self.until - time.monotonic()
        if left < seconds:
            print(f"{name:34} left out: {left:.0f} s are left, it may take {seconds:.0f} s")
        return left >= seconds

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *words, "--python", sys.executable]

    def run(self, name: str, content: dict[str, Any], *, show: bool = True) -> Looks:
        """Run one experiment to its end, by ``autotune run``."""
        data = self.folder / content["metadata"]["name"]
        data.mkdir()
        file = data / "experiment.json"
        file.write_text(json.dumps(content))
        words = self.command("run", str(file), "--json", "--data", str(data))
        answer = subprocess.run(
            words, capture_output=True, text=True, timeout=280, env=self.environment
        )
        try:
            trials = json.loads(answer.stdout)["trials"]
        except (ValueError, KeyError):
            self.wrong.append(f"{name}: {answer.stderr[-1000:]}")
            return Looks()
        looks = self.looked(data, trials)
        if show:
            print(looks.line(name), flush=True)
        return looks

    def looked(self, data: Path, trials: list[dict[str, Any]]) -> Looks:
        looks = Looks()
        for trial in trials:
            looks.states[trial["state"]] = looks.states.get(trial["state"], 0) + 1
            looks.reasons.append(trial["reason"])
        # From when trials were asked for: imports that are paid once are paid as well.
        times = [_seconds(trial[key]) for trial in trials for key in ("created_at", "finished_at")
                 if trial.get(key)]  # fmt: skip
        looks.wall = max(times) - min(times) if times else 0.0
        for _, word, what in printed(data):
            (looks.saw if word == "SAW" else looks.trained).append(what)
        self.wrong += strangers(data)
        for job in sorted(data.glob("trials/at-*/note")):
            self.wrong.append(f"{job.parent.name}: {job.read_text()}")
        return looks


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def throughput(bench: Bench, n_trials: int) -> None:
    """The table: with preload first, as these are quick."""
    ways: list[tuple[str, dict[str, Any], int, int]] = [
        ("1 per GPU", {"trialsPerGpu": 1}, 4, max(2, n_trials // 3)),
        ("2 per GPU", {"trialsPerGpu": 2}, 4, max(2, n_trials // 2)),
        ("4 per GPU", {"trialsPerGpu": 4}, 4, n_trials),
        ("measured memory", {"gpuMemory": "measured"}, 8, n_trials),
    ]
    for number, (name, local, at_once, _) in enumerate(ways):
        if bench.room_for(f"{name}, preload", 45):
            content = manifest(f"p{number}", n_trials, at_once, {**local, "preload": MODULES})
            bench.run(f"{name}, preload", content)
    yield_to = [(2, 40.0), (0, 60.0), (1, 50.0), (3, 40.0)]
    for number, seconds in yield_to:
        name, local, at_once, fewer = ways[number]
        if bench.room_for(name, seconds):
            bench.run(name, manifest(f"o{number}", fewer, at_once, local))


def out_of_memory(bench: Bench) -> None:
    """It is tried once more, alone, and then it has failed."""
    content = manifest("oom", 1, 1, {"trialsPerGpu": 2, "preload": MODULES})
    content["spec"]["searchSpace"] = EATS
    looks = bench.run("out of memory", content, show=False)
    attempts = [what for what in looks.saw if not what["rank"]]
    print(f"out of memory: {looks.states}, {len(attempts)} attempts; {' '.join(looks.reasons)}")
    if looks.states != {"FAILED": 1} or len(attempts) != 2:
        bench.wrong.append(f"out of memory: {looks.states}, {len(attempts)} attempts, not 2")


def one_without(bench: Bench) -> None:
    """Two replicas, of which one asked for a GPU."""
    content = manifest("two", 1, 1, {"preload": MODULES})
    (task,) = content["spec"]["trainingConfig"]["tasks"]
    other = json.loads(json.dumps(task))
    other["type"] = "ps"
    del other["template"]["spec"]["containers"][0]["resources"]
    content["spec"]["trainingConfig"]["tasks"].append(other)
    looks = bench.run("a replica without a GPU", content, show=False)
    for what in sorted(looks.saw, key=lambda each: int(each["rank"])):
        print(f"replica {what['rank']}: given {what['visible']}, saw {what['seen']}")
    if looks.states != {"SUCCEEDED": 1} or len(looks.saw) != 2:
        bench.wrong.append(f"two replicas: {looks.states} {looks.reasons}, {len(looks.saw)} spoke")


# ---- everything is killed


def everything(data: Path) -> list[int]:
    """All processes of this data directory: servers, those that are forked, supervisors, trials."""
    marks = (f"{MARK}{data}/".encode(), f"AUTOTUNE_DATA={data}".encode(), str(data).encode())
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{entry}/environ").read_bytes()
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
            if any(mark in environment for mark in marks[:2]) or marks[2] in words:
                found.append(int(entry))
    for file in data.glob("trials/at-*/pid.json"):  # supervisors show nothing of it
        with contextlib.suppress(OSError, ValueError):
            pid = int(json.loads(file.read_text())["pid"])
            if b"experiments.training.local" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return sorted(set(found))


def descendants_of(pids: list[int]) -> list[int]:
    """With all that descends from them, for what shows nothing of where it belongs."""
    known = set(pids)
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError):
                text = Path(f"/proc/{entry}/stat").read_text()
                parents[int(entry)] = int(text.rpartition(")")[2].split()[1])
    while more := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= more
    return sorted(known)


def states(data: Path) -> tuple[str, dict[str, int]]:
    """The experiment's phase, and how many trials are in which state."""
    with contextlib.closing(
        sqlite3.connect(f"file:{data}/autotune.sqlite3?mode=ro", uri=True)
    ) as rows:
        (phase,) = rows.execute("select phase from experiments_experiment").fetchone()
        found = rows.execute("select state, count(*) from experiments_trial group by state")
        return str(phase), dict(found.fetchall())


def wait_for(what: Any, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        with contextlib.suppress(sqlite3.Error, TypeError):
            if what():
                return True
        time.sleep(0.1)
    return False


def killed(bench: Bench, n_trials: int) -> None:
    """kill -9 of every process in the middle; a new server brings the experiment to its end."""
    data = bench.folder / "killed"
    data.mkdir()
    file = data / "experiment.json"
    content = manifest("killed", n_trials, 4, {"trialsPerGpu": 4, "preload": MODULES})
    content["spec"]["breaker"] = {"alike": 0}  # what is killed fails alike
    file.write_text(json.dumps(content))
    begun = time.monotonic()
    run = subprocess.Popen(
        bench.command("run", str(file), "--data", str(data)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bench.environment,
    )  # fmt: skip
    middle = wait_for(lambda: states(data)[1].get("SUCCEEDED", 0) >= 2, 90)
    victims = descendants_of([run.pid, *everything(data)])
    for pid in victims:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    run.wait()
    before = states(data)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    up = subprocess.Popen(
        bench.command("up", "--data", str(data), "--port", str(port), "--no-sample"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bench.environment,
    )  # fmt: skip
    ended = wait_for(lambda: states(data)[0] in ("DONE", "TIMEOUT", "ERROR"), 90)
    up.send_signal(signal.SIGTERM)
    up.wait(20)
    wait_for(lambda: not everything(data), 5)
    after, left = states(data), everything(data)
    print(
        f"killed in the middle ({len(victims)} processes): {before[1]} then, {after[0]} {after[1]} "
        f"after {time.monotonic() - begun:.1f} s; {len(left)} processes left"
    )
    bench.wrong += strangers(data)
    if not (middle and ended and after[0] == "DONE") or left:
        bench.wrong.append(f"killed: {middle=} {ended=} {after}, left {left}")
    if sum(after[1].values()) < n_trials or after[1].get("SUCCEEDED", 0) < n_trials - 4:
        bench.wrong.append(f"killed: trials were lost: {after[1]}")


def show_logs(folder: Path) -> None:
    """What servers had to say, where something went wrong."""
    for log in sorted(folder.glob("*/logs/*.log")):
        if lines := log.read_text(errors="replace").splitlines()[-15:]:
            print(f"--- {log.relative_to(folder)}", *lines, sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=290)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--only", help="one part: without, memory, killed or throughput")
    options = parser.parse_args()
    where = "torch" if HAS_TORCH else "no torch: a stand-in on the CPU"
    print(f"Python {sys.version.split()[0]}, {where}, {os.cpu_count()} cores; preload: {MODULES}")
    folder = Path(tempfile.mkdtemp(prefix="autotune-gpu-"))
    bench = Bench(folder, options.seconds)
    parts = {
        "without": lambda: one_without(bench),
        "memory": lambda: out_of_memory(bench),
        "killed": lambda: killed(bench, options.trials),
        "throughput": lambda: throughput(bench, options.trials),
    }
    try:
        for name, part in parts.items():
            if options.only in (None, name):
                part()
    finally:
        if bench.wrong:
            show_logs(folder)
        for pid in everything(folder):
            bench.wrong.append(f"process {pid} was left behind")
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    print("every trial saw just the devices it was given" if not bench.wrong else "\nWRONG:")
    print("\n".join(bench.wrong))
    sys.exit(1 if bench.wrong else 0)


if __name__ == "__main__":
    main()
