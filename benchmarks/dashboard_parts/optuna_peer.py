"""The same trials in optuna-dashboard: how long its page takes, beside ours.

It runs in an environment of its own, which is made where it is not there. The study is written as
Optuna's own SQLite storage, so that both products read a database of the same kind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError as TookTooLong

from benchmarks.dashboard_parts.figures import TARGETS, Client, Figures, Server, chromium, ticks
from benchmarks.dashboard_parts.page import SIZE
from tests.e2e.stack import free_port, wait_for

PACKAGE = "optuna-dashboard"
STUDY = Path(__file__).with_name("optuna_study.py")
PATIENCE_S = 300.0  # for its page; longer than that is told as that

# Its page of a study: each has something drawn, importance too.
DRAWN = """() => ["plot-history", "graph-timeline", "graph-intermediate-values"].every((id) => {
  const plot = document.getElementById(id);
  return plot?.classList.contains("js-plotly-plot") && plot.data?.length
    && plot.querySelector(".trace, .point, .bars, canvas");
})"""


def environment(folder: Path) -> Path:
    """The environment's programs."""
    programs = folder / "bin"
    if not (programs / PACKAGE).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(programs / "pip"), "install", "--quiet", PACKAGE]
        subprocess.run(install, check=True)
    return programs


def measure(
    folder: Path, client: Client, pk: str, figures: Figures, *, ours_s: float, rounds: int
) -> None:
    programs = environment(folder.resolve())
    figures.head("The same trials in optuna-dashboard")
    with tempfile.TemporaryDirectory(prefix="autotune-benchmark-") as made:
        exported, database = Path(made) / "trials.json", Path(made) / "study.sqlite3"
        with exported.open("wb") as file:
            answer = client.ask("GET", f"/api/v1/experiments/{pk}/export/?format=json")
            while piece := answer.read(1 << 20):
                file.write(piece)
        python = str(programs / "python")
        subprocess.run([python, str(STUDY), str(exported), str(database)], check=True)
        exported.unlink()
        port = free_port()
        command = [str(programs / PACKAGE), "--port", str(port), "--quiet", f"sqlite:///{database}"]
        with (Path(made) / "out").open("w") as out:
            server = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            taken = _opened(f"http://127.0.0.1:{port}", Server(server.pid), rounds)
        finally:
            server.terminate()
            server.wait(30)
    its_s, main_s, server_s = taken
    is_over = its_s >= PATIENCE_S
    figures.say(f"its page is {'not drawn yet after' if is_over else 'drawn'}", its_s, "s")
    if not is_over:
        figures.say("processor time of the main thread", main_s, "s")
    figures.say("processor time of its server", server_s, "s")
    target = TARGETS["times sooner"]
    words = "ours is there sooner by, at least" if is_over else "ours is there sooner by"
    figures.say(words, its_s / ours_s, "times", target, at_least=True)


def _opened(url: str, server: Server, rounds: int) -> tuple[float, float, float]:
    """Seconds until its charts are drawn, and processor seconds: of the quickest round.

    PATIENCE_S of the first, and none of its page's, where they are not drawn by then.
    """

    def answers() -> bool:
        try:
            return json.load(urllib.request.urlopen(f"{url}/api/meta", timeout=60)) is not None
        except OSError:
            return False

    wait_for("optuna-dashboard", answers)
    found: list[tuple[float, float, float]] = []
    with chromium() as browser:
        for _ in range(rounds):
            found.append(_once(browser, url, server))
    return min(found)


def _once(browser: Any, url: str, server: Server) -> tuple[float, float, float]:
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, start = server.seconds(), time.monotonic()
    page.goto(f"{url}/dashboard/studies/1", wait_until="commit")
    try:
        page.wait_for_function(DRAWN, timeout=PATIENCE_S * 1000, polling=250)
    except TookTooLong:  # its page answers nothing more now, so is not asked
        return PATIENCE_S, 0.0, server.seconds() - before
    took = time.monotonic() - start
    busy = ticks(session)["TaskDuration"]
    context.close()
    return took, busy, server.seconds() - before
