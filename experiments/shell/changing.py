"""``suspend``, ``resume``, ``finish``, ``set``, ``stop``, ``retry``, ``rm``: decisions."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from experiments.shell import finding, screen
from experiments.shell.call import Call, Command, takes_id
from experiments.shell.language import gettext as _
from experiments.shell.trouble import BAD_INPUT, Trouble

WHOLE_NUMBERS = ("maxTrialNum", "maxExecSeconds", "trialConcurrency")
MAY_LACK = ("maxTrialNum", "maxExecSeconds")  # one of them
NO_LIMIT = ("none", "null")
TEXTS = ("name", "notes")
# As REST and the pages' scripts spell them.
SPELLED = {"max_trials": "maxTrialNum", "max_exec_seconds": "maxExecSeconds",
           "concurrency": "trialConcurrency"}  # fmt: skip


def _path(experiment: dict[str, Any]) -> str:
    return f"experiments/{experiment['id']}/"


def _tell(call: Call, experiment: dict[str, Any], done: str) -> int:
    """What became of the experiment; ``done`` is said of it."""
    call.tell(experiment, lambda: f"{screen.clean(experiment['name'])} ({experiment['id']}) {done}")
    call.note_when()
    return 0


def suspend(call: Call) -> int:
    now = call.client.ask("PATCH", _path(call.experiment()), body={"suspended": True}).json
    return _tell(call, now, _("is suspended: trials that run go on, no others start."))


def resume(call: Call) -> int:
    now = call.client.ask("PATCH", _path(call.experiment()), body={"suspended": False}).json
    return _tell(call, now, _("goes on."))


def finish(call: Call) -> int:
    now = call.client.post(_path(call.experiment()) + "finish/")
    return _tell(call, now, _("is being finished: running trials are stopped."))


# ---- set


def _takes_settings(parser: argparse.ArgumentParser) -> None:
    takes_id(parser)
    known = ", ".join((*WHOLE_NUMBERS, *TEXTS))
    parser.add_argument("settings", metavar="NAME=VALUE", nargs="+", help=f"NAME: {known}")


def set_(call: Call) -> int:
    wanted: dict[str, Any] = {}
    for given in call.options.settings:
        name, value = _setting(given)
        if name in wanted:
            raise Trouble(BAD_INPUT, _("{name} is given twice.").format(name=name))
        wanted[name] = value
    before = call.experiment()
    now = call.client.ask("PATCH", _path(before), body=wanted).json
    goes_on = before["phase"] != now["phase"]
    words = _("is changed, and goes on.") if goes_on else _("is changed.")
    call.tell(now, lambda: f"{screen.clean(now['name'])} ({now['id']}) {words}")
    if goes_on:
        call.note_when()
    return 0


def _setting(given: str) -> tuple[str, Any]:
    name, equals, text = given.partition("=")
    if not equals:
        words = _("Must be NAME=VALUE, as maxTrialNum=80, but is {given}.")
        raise Trouble(BAD_INPUT, words.format(given=repr(given)))
    name = SPELLED.get(name, name)
    if name in TEXTS:
        return name, text
    if name not in WHOLE_NUMBERS:
        known = ", ".join((*WHOLE_NUMBERS, *TEXTS))
        words = _("{name} cannot be set; what can: {known}.")
        raise Trouble(BAD_INPUT, words.format(name=repr(name), known=known))
    if text.strip().lower() in NO_LIMIT and name in MAY_LACK:
        return name, None
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        words = _("{name} must be a whole number, but is {text}.")
        if name in MAY_LACK:
            words = _("{name} must be a whole number, or none, but is {text}.")
        raise Trouble(BAD_INPUT, words.format(name=name, text=repr(text)))
    return name, int(text)


# ---- trials


def _takes_numbers(how_many: str) -> Any:
    def arguments(parser: argparse.ArgumentParser) -> None:
        takes_id(parser)
        parser.add_argument(
            "numbers", metavar="NUMBER", nargs=how_many, type=finding.number, help="of trials"
        )

    return arguments


def stop(call: Call) -> int:
    experiment = call.experiment()
    stopped = [
        call.client.post(f"{_path(experiment)}trials/{number}/kill/")
        for number in dict.fromkeys(call.options.numbers)
    ]
    numbers = ", ".join(str(trial["number"]) for trial in stopped)
    call.tell(stopped, lambda: _("Being stopped: {numbers}.").format(numbers=numbers))
    call.note_when()
    return 0


def retry(call: Call) -> int:
    experiment = call.experiment()
    numbers = list(dict.fromkeys(call.options.numbers))
    if numbers:
        trials = [call.client.post(f"{_path(experiment)}trials/{n}/retry/") for n in numbers]
        answer: dict[str, Any] = {"count": len(trials), "trials": trials}
    else:
        answer = call.client.post(_path(experiment) + "retry-failed/")
    as_new = ", ".join(str(trial["number"]) for trial in answer["trials"])
    words = _("Tried again as {numbers}.") if as_new else _("There is nothing to try again.")
    call.tell(answer, lambda: words.format(numbers=as_new))
    if as_new:
        call.note_when()
    return 0


# ---- rm


def _takes_yes(parser: argparse.ArgumentParser) -> None:
    takes_id(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def rm(call: Call) -> int:
    """Delete; a person at a terminal is asked first."""
    experiment = call.experiment()
    name = screen.clean(experiment["name"])
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not (call.options.yes or call.options.json):
        words = _("Delete {name} ({id}), its {n} trials and their logs? [y/N] ")
        sys.stderr.write(words.format(name=name, id=experiment["id"], n=experiment["n_trials"]))
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            call.note(_("Nothing is deleted."))
            return BAD_INPUT
    call.client.ask("DELETE", _path(experiment))
    data = {"id": experiment["id"], "name": experiment["name"], "deleted": True}
    call.tell(data, lambda: _("{name} ({id}) is deleted.").format(name=name, id=experiment["id"]))
    return 0


COMMANDS = {
    "suspend": Command(suspend, takes_id),
    "resume": Command(resume, takes_id),
    "finish": Command(finish, takes_id),
    "set": Command(set_, _takes_settings),
    "stop": Command(stop, _takes_numbers("+")),
    "retry": Command(retry, _takes_numbers("*")),
    "rm": Command(rm, _takes_yes),
}
