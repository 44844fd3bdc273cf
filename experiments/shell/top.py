"""``top``: what runs, live, until q or Ctrl-C; without a terminal, or a server, once.

Asks once a second. An experiment's line of best values is fetched again only when a trial has
ended, and a trial's curve is fetched once and goes on from the values that come with the list.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.live import Live
from rich.text import Text

from experiments.shell import finding, screen
from experiments.shell.call import Call, Command
from experiments.shell.language import gettext as _
from experiments.shell.looking import progress, ran, share_done, time_left
from experiments.shell.screen import Column
from experiments.shell.server import Client
from experiments.shell.trouble import OUR_FAULT, Trouble

EVERY_S = 1.0
PACE_EVERY_S = 5.0
MOST_EXPERIMENTS = 20  # that go on
MOST_ENDED = 3  # shown below them, the last first
MOST_TRIALS = 30  # of one experiment
ENDED = ("DONE", "TIMEOUT", "ERROR")
LINE_WIDTH = 24  # columns of a curve


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="only this experiment")


@dataclass
class Seen:
    """What is known of one experiment from one look to the next."""

    experiment: dict[str, Any]
    trials: list[dict[str, Any]] = field(default_factory=list)
    pace: dict[str, Any] | None = None
    best_line: list[float | None] = field(default_factory=list)
    curves: dict[int, list[float | None]] = field(default_factory=dict)
    _best_at: tuple[int, int | None] | None = None
    _pace_at: float = 0.0
    _sequence: dict[int, int] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        return self.experiment["phase"] not in ENDED

    def look(self, client: Client) -> None:
        """Fetch what the list does not tell."""
        path = f"experiments/{self.experiment['id']}/"
        self._read_best_line(client, path)
        if not self.goes_on:
            self.trials, self.pace = [], None
            return
        is_due = client.door.is_server  # else nothing moves, and no time is left or spent
        if is_due and (time.monotonic() - self._pace_at > PACE_EVERY_S or not self._pace_at):
            self._pace_at = time.monotonic()
            self.pace = client.get(path + "pace/")["left"]
        self.trials = client.pages(path + "trials/", MOST_TRIALS, state="RUNNING")[0]
        for trial in self.trials:
            self._read_curve(client, path, trial)

    def _read_best_line(self, client: Client, path: str) -> None:
        """Only a trial that has ended moves it, and the figure costs the server some work."""
        now = (self.experiment["n_finished"], (self.experiment["best"] or {}).get("number"))
        if now == self._best_at:
            return
        self._best_at = now
        for trace in client.get(path + "charts/history/")["data"]:
            if trace.get("uid") == "best":
                self.best_line = _steps(trace["x"], trace["y"])

    def _read_curve(self, client: Client, path: str, trial: dict[str, Any]) -> None:
        number, sequence = trial["number"], trial["latest_sequence"]
        if sequence is None or self._sequence.get(number) == sequence:
            return
        if number not in self.curves:
            query = {"name": "default", "kind": "PERIODICAL"}
            found = client.get(f"{path}trials/{number}/metrics/", **query)["results"]
            self.curves[number] = [_finite(report["value"]) for report in found]
        else:
            self.curves[number].append(_finite(trial["latest_value"]))
        self._sequence[number] = sequence


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _steps(xs: list[float], ys: list[float]) -> list[float | None]:
    """A line that steps, as values at even distances."""
    first, last = xs[0], max(xs[-1], xs[0] + 1)
    found: list[float | None] = []
    at = 0
    for i in range(LINE_WIDTH * 2):
        place = first + (last - first) * i / (LINE_WIDTH * 2 - 1)
        while at + 1 < len(xs) and xs[at + 1] <= place:
            at += 1
        found.append(ys[at])
    return found


class Watch:
    """Looks again and again, and remembers."""

    def __init__(self, client: Client, only: str | None) -> None:
        self._client = client
        self._only = only
        self.seen: list[Seen] = []
        self._known: dict[str, Seen] = {}
        self.trouble = ""

    def look(self) -> None:
        self.seen = []
        for experiment in self._experiments():
            seen = self._known.setdefault(experiment["id"], Seen(experiment))
            seen.experiment = experiment
            try:
                seen.look(self._client)
            except Trouble as trouble:
                if trouble.code == OUR_FAULT:
                    raise
                continue  # deleted meanwhile
            self.seen.append(seen)

    def _experiments(self) -> list[dict[str, Any]]:
        if self._only:
            return [self._client.get(f"experiments/{self._only}/")]
        going_on = self._client.pages(
            "experiments/", MOST_EXPERIMENTS, phase="PENDING,RUNNING", order="created_at"
        )[0]
        ended = self._client.pages(
            "experiments/", MOST_ENDED, phase=",".join(ENDED), order="-finished_at"
        )[0]
        return going_on + ended

    def as_json(self) -> dict[str, Any]:
        return {
            "experiments": [
                {**seen.experiment, "left": seen.pace, "running": seen.trials} for seen in self.seen
            ]
        }


# ---- what is shown


def drawn(watch: Watch, width: int, *, ascii_only: bool = False) -> Text:
    """Everything, a block for each experiment."""
    if not watch.seen:
        return Text(_("No experiments."))
    blocks = [_block(seen, width, ascii_only) for seen in watch.seen]
    return Text("\n\n").join(blocks)


def _block(seen: Seen, width: int, ascii_only: bool) -> Text:
    experiment = seen.experiment
    lines = [_cut(_head(experiment), width), _cut(_bar(seen, width, ascii_only), width)]
    if experiment["best"] is not None:
        lines.append(_cut(_best(seen, width, ascii_only), width))
    if words := experiment["message"] or (experiment["breaker"] or {}).get("reason"):
        lines.append(_cut(Text(screen.clean(words), style="yellow"), width))
    if seen.trials:
        lines.append(_trials(seen, width, ascii_only))
    return Text("\n").join(lines)


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _head(experiment: dict[str, Any]) -> Text:
    name = Text(screen.clean(experiment["name"]), style="bold")
    return Text("  ").join([screen.phase_of(experiment), name, Text(experiment["id"], style="dim")])


def _bar(seen: Seen, width: int, ascii_only: bool) -> Text:
    experiment = seen.experiment
    counts = experiment["counts"]
    words = [progress(experiment)]
    if counts["RUNNING"]:
        words.append(_("{n} running").format(n=counts["RUNNING"]))
    if n_failed := counts["FAILED"] + counts["LOST"]:
        words.append(_("{n} failed").format(n=n_failed))
    if seen.pace:
        words.append(time_left(seen.pace))
    length = min(30, max(10, width // 4))
    bar = screen.bar(share_done(experiment), length, ascii_only=ascii_only)
    return Text(bar, style="green") + Text("  " + "  ".join(words), style="not green")


def _best(seen: Seen, width: int, ascii_only: bool) -> Text:
    best = seen.experiment["best"]
    line = screen.sparkline(seen.best_line, min(LINE_WIDTH, width // 3), ascii_only=ascii_only)
    trial = _("trial {number}").format(number=best["number"])
    words = f"  {screen.pairs(best['parameters'])}" if width >= 60 else ""
    return Text.assemble(
        (line, "cyan"), "  " if line else "", (screen.number(best["value"]), "bold"),
        f" ({trial})", (words, "dim"),
    )  # fmt: skip


def _trials(seen: Seen, width: int, ascii_only: bool) -> Text:
    columns = [
        Column("#", right=True),
        Column(_("TIME"), right=True, rank=2),
        Column(_("REPORTS"), right=True, rank=3),
        Column(_("VALUE"), right=True),
        Column(_("CURVE"), rank=1, least=6),
        Column(_("PARAMETERS"), rank=4, least=12),
    ]
    rows = [
        (
            str(trial["number"]),
            ran(trial),
            str(trial["n_reports"]),
            screen.number(trial["latest_value"]),
            screen.sparkline(
                seen.curves.get(trial["number"], []), LINE_WIDTH, ascii_only=ascii_only
            ),
            screen.pairs(trial["parameters"]),
        )
        for trial in seen.trials
    ]
    return screen.table(columns, rows, width)


# ---- the terminal


def top(call: Call) -> int:
    only = finding.experiment(call.client, call.options.id)["id"] if call.options.id else None
    watch = Watch(call.client, only)
    watch.look()
    console = call.console
    ascii_only = not console.encoding.lower().startswith("utf")
    lives = console.is_terminal and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"
    if call.options.json or not lives or not call.client.door.is_server:
        code = call.tell(
            watch.as_json(), lambda: drawn(watch, console.width, ascii_only=ascii_only)
        )
        if not call.client.door.is_server:
            call.note(_("No server runs: nothing moves."))
        return code

    def frame() -> Text:
        body = drawn(watch, console.width, ascii_only=ascii_only)
        foot = Text(f"{time.strftime('%H:%M:%S')}  {_('q ends')}", style="dim")
        if watch.trouble:
            foot = Text(screen.clean(watch.trouble), style="red")
        lines = body.split("\n")
        room = max(1, console.height - 1)
        if len(lines) > room:
            more = _("{n} more lines").format(n=len(lines) - room + 1)
            lines = [*lines[: room - 1], Text(f"… {more}", style="dim")]  # type: ignore[assignment]
        return Text("\n").join([*lines, foot])

    with (
        _keys() as pressed,
        Live(frame(), console=console, screen=True, auto_refresh=False) as live,
    ):
        while not pressed(EVERY_S):
            try:
                watch.look()
                watch.trouble = ""
            except Trouble as trouble:  # it may come back
                watch.trouble = trouble.lines[0]
            live.update(frame(), refresh=True)
    return 0


@contextmanager
def _keys() -> Iterator[Any]:
    """Gives what waits some seconds for q; the terminal is as it was afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def pressed(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0]:
                key = os.read(descriptor, 64)
                if not key or key[:1] in b"qQ":  # nothing: the terminal has gone
                    return True
        return False

    try:
        yield pressed
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


COMMANDS = {"top": Command(top, _arguments)}
