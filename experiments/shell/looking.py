"""``ls``, ``show``, ``trials``, ``best``: what there is, in tables."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from experiments.shell import screen
from experiments.shell.call import Call, Command, takes_id
from experiments.shell.language import gettext as _
from experiments.shell.screen import Column
from experiments.shell.trouble import NOTHING_SUCCEEDED, Trouble

MOST_ROWS = 200  # of a table that nobody said how many of
PHASES = ("PENDING", "RUNNING", "DONE", "TIMEOUT", "ERROR")


def since(time: str | None, until: str | None = None) -> float | None:
    """Seconds from one moment to another, or to now."""
    if time is None:
        return None
    end = datetime.fromisoformat(until) if until else datetime.now(UTC)
    return (end - datetime.fromisoformat(time)).total_seconds()


def ran(row: dict[str, Any]) -> str:
    """How long a trial runs, or ran."""
    return screen.duration(since(row["started_at"], row["finished_at"]))


def progress(experiment: dict[str, Any]) -> str:
    """Finished of all, where there is such a limit; it may have been lowered below them."""
    n_finished, limit = experiment["n_finished"], experiment["max_trials"]
    return str(n_finished) if limit is None else f"{n_finished}/{max(limit, n_finished)}"


def share_done(experiment: dict[str, Any]) -> float:
    """How far it is, from 0 to 1: of its trials, or of its time where they have no limit."""
    done, limit = experiment["n_finished"], experiment["max_trials"]
    if limit is None:
        done, limit = experiment["active_seconds"], experiment["max_exec_seconds"]
    return float(done / max(1, limit, done))


def _limit(call: Call) -> int:
    given = call.options.limit
    return int(given) if given is not None else 0 if call.options.json else MOST_ROWS


def _and_more(call: Call, n_shown: int, n_all: int) -> int:
    """Say that there are more; the exit code 0."""
    if n_shown < n_all and not call.options.json:
        words = _("{shown} of {all} are shown; --limit 0 shows all.")
        call.note(words.format(shown=n_shown, all=n_all))
    return 0


def takes_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--limit", type=whole_number, metavar="N",
        help=f"rows at most, 0 for all; by default {MOST_ROWS} of a table, all as JSON",
    )  # fmt: skip


def whole_number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, but is {word!r}")
    return int(word)


# ---- ls


def _takes_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--phase", metavar="PHASE", help=f"only these: {', '.join(PHASES)}")
    parser.add_argument("--search", metavar="WORDS", help="words of the name or notes, or an id")
    parser.add_argument("--order", metavar="NAME", help="as name, -best or -created_at")
    takes_limit(parser)


def ls(call: Call) -> int:
    given = {name: getattr(call.options, name) for name in ("phase", "search", "order")}
    query = {name: value for name, value in given.items() if value}
    if "phase" in query:
        query["phase"] = query["phase"].upper()
    found, n_all = call.client.pages("experiments/", _limit(call), **query)
    call.tell(found, lambda: experiments_table(found, call.console.width))
    return _and_more(call, len(found), n_all)


def experiments_table(found: list[dict[str, Any]], width: int) -> Text:
    if not found:
        return Text(_("No experiments."))
    columns = [
        Column(_("ID")),
        Column(_("NAME"), least=8),
        Column(_("PHASE")),
        Column(_("TRIALS"), right=True, rank=1),
        Column(_("RUNNING"), right=True, rank=4),
        Column(_("FAILED"), right=True, rank=5),
        Column(_("BEST"), right=True, rank=2),
        Column(_("AGE"), right=True, rank=3),
    ]
    rows = [
        (
            experiment["id"],
            screen.clean(experiment["name"]),
            screen.phase_of(experiment),
            progress(experiment),
            str(experiment["counts"]["RUNNING"]),
            str(experiment["counts"]["FAILED"] + experiment["counts"]["LOST"]),
            screen.number((experiment["best"] or {}).get("value")),
            screen.duration(since(experiment["created_at"])),
        )
        for experiment in found
    ]
    return screen.table(columns, rows, width)


# ---- show


def show(call: Call) -> int:
    experiment = call.experiment()
    pace = call.client.get(f"experiments/{experiment['id']}/pace/")
    is_served = call.client.door.is_server
    spent = _time(experiment, pace["left"], is_served=is_served)
    return call.tell(
        experiment, lambda: _experiment_words(experiment, pace, spent, call.console.width)
    )


def _experiment_words(
    experiment: dict[str, Any], pace: dict[str, Any], spent: str, width: int
) -> Text:
    counts = {state: n for state, n in experiment["counts"].items() if n}
    by_state = [Text(f"{n} ") + screen.state_of({"state": state}) for state, n in counts.items()]
    lines: list[tuple[str, str | Text]] = [
        (_("id"), experiment["id"]),
        (_("name"), screen.clean(experiment["name"])),
        (_("phase"), screen.phase_of(experiment)),
        (_("trials"), Text(f"{progress(experiment)}  ") + Text(", ").join(by_state)),
        (_("time"), spent),
        (_("at once"), str(experiment["concurrency"])),
        (_("goal"), experiment["optimize_mode"]),
        (_("best"), _best_words(experiment["best"])),
        (_("trial time"), screen.duration(pace["trial_seconds"])),
    ]
    if experiment["message"]:
        lines.append((_("message"), screen.clean(experiment["message"])))
    if held := experiment.get("blocked"):
        lines.append((_("blocked"), screen.clean(f"{held['why']} {held['words']}")))
    if experiment["breaker"]:
        lines.append((_("suspended"), screen.clean(experiment["breaker"]["reason"])))
    if experiment["notes"]:
        lines.append((_("notes"), screen.clean(experiment["notes"].strip().partition("\n")[0])))
    return screen.fields(lines, width)


def _time(experiment: dict[str, Any], left: dict[str, Any] | None, *, is_served: bool) -> str:
    """Spent of all; where no server runs none passes, and the next one puts the clock right."""
    limit = experiment["max_exec_seconds"]
    most = "" if limit is None else f" / {screen.duration(limit)}"
    if experiment["clock_running"] and not is_served:
        return f"–{most}"
    words = f"{screen.duration(experiment['active_seconds'])}{most}"
    return f"{words}, {time_left(left)}" if left else words


def time_left(left: dict[str, Any]) -> str:
    low, high = screen.duration(left["low_s"]), screen.duration(left["high_s"])
    span = low if low == high else f"{low} – {high}"
    return _("{span} left").format(span=span)


def _best_words(best: dict[str, Any] | None) -> str:
    if best is None:
        return "–"
    trial = _("trial {number}").format(number=best["number"])
    return f"{screen.number(best['value'])} ({trial})  {screen.pairs(best['parameters'])}"


# ---- trials


def _takes_trials(parser: argparse.ArgumentParser) -> None:
    takes_id(parser)
    parser.add_argument(
        "--where", metavar="EXPR", help="as 'lr < 0.01 and value >= 0.9 and optimizer = adam'"
    )
    parser.add_argument("--state", metavar="STATE", help="only these, as FAILED,LOST")
    parser.add_argument("--order", metavar="NAME", help="as -value, duration or param:lr")
    takes_limit(parser)


def trials(call: Call) -> int:
    experiment = call.experiment()
    given = {name: getattr(call.options, name) for name in ("where", "state", "order")}
    query = {name: value for name, value in given.items() if value}
    if "state" in query:
        query["state"] = query["state"].upper()
    path = f"experiments/{experiment['id']}/trials/"
    found, n_all = call.client.pages(path, _limit(call), **query)
    best = (experiment["best"] or {}).get("number")
    call.tell(found, lambda: trials_table(found, call.console.width, best=best))
    return _and_more(call, len(found), n_all)


def trials_table(found: list[dict[str, Any]], width: int, *, best: int | None = None) -> Text:
    if not found:
        return Text(_("No trials."))
    columns = [
        Column("#", right=True),
        Column(_("STATE")),
        Column(_("VALUE"), right=True),
        Column(_("TIME"), right=True, rank=2),
        Column(_("PARAMETERS"), rank=1, least=12),
        Column(_("REASON"), rank=3, least=12),
    ]
    rows = [
        (
            f"*{trial['number']}" if trial["number"] == best else str(trial["number"]),
            screen.state_of(trial),
            _value(trial),
            ran(trial),
            screen.pairs(trial["parameters"]),
            screen.clean(trial["reason"]),
        )
        for trial in found
    ]
    return screen.table(columns, rows, width)


def _value(trial: dict[str, Any]) -> str:
    """Its value; ``~`` before the latest one of a trial that has no final one."""
    if trial["value"] is not None or trial["latest_value"] is None:
        return screen.number(trial["value"])
    return f"~{screen.number(trial['latest_value'])}"


# ---- best


def best(call: Call) -> int:
    experiment = call.experiment()
    found = experiment["best"]
    if found is None:
        name = screen.clean(experiment["name"])
        words = _("No trial of {name} ({id}) has succeeded; it is {phase}.")
        told = words.format(name=name, id=experiment["id"], phase=experiment["phase"])
        raise Trouble(NOTHING_SUCCEEDED, told)
    return call.tell(found, lambda: _whole_best(found))


def _whole_best(found: dict[str, Any]) -> Text:
    """The value, then the parameters as JSON: to read, and to copy."""
    trial = _("trial {number}").format(number=found["number"])
    head = Text(f"{screen.number(found['value'])}  ({trial})", style="bold")
    return head + Text(f"\n{screen.as_json(found['parameters'])}", style="not bold")


COMMANDS = {
    "ls": Command(ls, _takes_filters),
    "show": Command(show, takes_id),
    "trials": Command(trials, _takes_trials),
    "best": Command(best, takes_id),
}
