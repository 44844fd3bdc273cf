"""How quickly the dashboard shows a large experiment, in Chromium and over REST.

    python benchmarks/dashboard.py [--trials 10000] [--points 100] [--experiments 1000]
                                   [--rounds 5] [--seed 1] [--data DIR] [--seconds 60]
                                   [--optuna DIR] [--parts page,rest,list,running]

A real ``autotune up`` on SQLite serves a made-up experiment of finished trials and a project with
many small ones; a web process alone serves two hundred running trials. Figures are medians of the
rounds, each from an empty browser cache and after a change, so that nothing the server keeps is of
today; the charts' answers are asked for so that none comes from its memory. Processor times say
what it takes without regard to who else is at the machine. ``--data`` keeps the data directory: the
next run with the same sizes takes what is there. ``--optuna`` names an environment for
optuna-dashboard, made where it is not there: it then shows the same trials in the same run.
``--seconds 600`` watches the running ones for as long as the target says; else the heap's growth is
carried on. Exits with 1 where a figure is over its target.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.dashboard_parts import listing, optuna_peer, page, rest, running
from benchmarks.dashboard_parts.figures import Client, Figures, Server
from tests.e2e.stack import Stack, manage

PARTS = ("page", "rest", "list", "running")
SMALL = ("--trials", "12", "--points", "0", "--stopped", "0")  # of the many experiments


def generated(data: Path, name: str, *argv: str) -> None:
    start = time.perf_counter()
    done = manage(data, "generate", "--name", name, *argv, timeout_s=3600)
    if done.returncode:
        raise SystemExit(done.stderr)
    print(f"made {name} in {time.perf_counter() - start:.0f} s", flush=True)


@contextmanager
def directory(given: str) -> Iterator[Path]:
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given).resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="autotune-benchmark-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def served(data: Path) -> Iterator[Stack]:
    stack = Stack(data)
    try:
        yield stack.start("--no-sample")
    finally:
        stack.stop()


def make(data: Path, chosen: argparse.Namespace) -> str:
    """The experiments that are not there yet; returns the large one's name."""
    large = f"b{chosen.trials}x{chosen.points} seed {chosen.seed}"
    mark = data / f"made {large} and {chosen.experiments}"
    if not mark.exists():
        argv = ["--trials", chosen.trials, "--points", chosen.points, "--seed", chosen.seed]
        generated(data, large, *map(str, argv), "--retried", "0.2", "--excluded", "0.01")
        if "list" in chosen.parts:
            many = ["--experiments", str(chosen.experiments), *SMALL]
            generated(data, f"small of {chosen.seed}", *many)
        mark.touch()
    return large


def set_django_up(data: Path) -> None:
    os.environ["AUTOTUNE_DATA"] = str(data)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    os.environ.setdefault("AUTOTUNE_LOG_LEVEL", "WARNING")
    import django

    django.setup()


def ended(data: Path, name: str, chosen: argparse.Namespace, figures: Figures) -> None:
    """Everything about experiments that have ended, at one ``autotune up``."""
    rounds = chosen.rounds
    with served(data) as stack:
        client = Client(stack.port, manage(data, "token").stdout.strip())
        found = json.loads(client.get(f"/api/v1/experiments/?search={quote(name)}")[2])
        pk = found["results"][0]["id"]
        print(f"{chosen.trials} trials x {chosen.points} points", flush=True)
        ours_s = 0.0
        if "page" in chosen.parts:
            reports = chosen.trials * chosen.points
            ours_s = page.measure(stack, client, pk, figures, rounds=rounds, reports=reports)
        if "rest" in chosen.parts:
            server = Server(stack.pids()["web"])
            rest.measure(client, server, pk, figures, rounds=rounds, trials=chosen.trials)
        if "list" in chosen.parts:
            listing.measure(client, figures, rounds=rounds, few=name)
        if chosen.optuna:
            optuna_peer.measure(Path(chosen.optuna), client, pk, figures, ours_s=ours_s, rounds=1)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=10_000)
    options.add_argument("--points", type=int, default=100)
    options.add_argument("--experiments", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--data", default="", help="a data directory to make and keep")
    options.add_argument("--seconds", type=float, default=60, help="to watch the running trials")
    options.add_argument("--optuna", default="", help="an environment for optuna-dashboard")
    options.add_argument("--parts", default=",".join(PARTS), help="only these, by commas")
    chosen = options.parse_args()
    chosen.parts = chosen.parts.split(",")
    if unknown := set(chosen.parts) - set(PARTS):
        options.error(f"--parts must be of {', '.join(PARTS)}, but got {', '.join(unknown)}.")
    if chosen.optuna and "page" not in chosen.parts:
        options.error("--optuna needs --parts page: its time is compared with ours.")
    figures = Figures()
    with directory(chosen.data) as data:
        name = make(data, chosen) if set(chosen.parts) - {"running"} else ""
        set_django_up(data)
        if name:
            ended(data, name, chosen, figures)
        if "running" in chosen.parts:
            running.measure(data, figures, seconds=chosen.seconds, seed=chosen.seed)
    return 1 if figures.is_over else 0


if __name__ == "__main__":
    sys.exit(main())
