"""``logs``: what a trial printed, to its end with ``-f``."""

from __future__ import annotations

import argparse
import codecs
import sys
import time
from collections.abc import Iterator
from typing import Any

from experiments.shell import finding, screen
from experiments.shell.call import Call, Command, takes_id
from experiments.shell.language import gettext as _
from experiments.shell.trouble import BAD_INPUT, NOT_FOUND, Trouble

PIECE = 1024 * 1024  # bytes of one answer, as many as REST gives
EVERY_S = 0.5
FINISHED = ("SUCCEEDED", "FAILED", "EARLY_STOPPED", "CANCELED", "LOST")


def _arguments(parser: argparse.ArgumentParser) -> None:
    takes_id(parser)
    parser.add_argument(
        "number", metavar="NUMBER", nargs="?", type=finding.number,
        help="of the trial; by default the one that started last",
    )  # fmt: skip
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the trial ends")
    parser.add_argument("--log", metavar="NAME", help="which of its logs, where it has several")


def logs(call: Call) -> int:
    if call.options.json and call.options.follow:
        raise Trouble(BAD_INPUT, _("--json gives a whole answer: leave -f out."))
    experiment = call.experiment()
    trials = f"experiments/{experiment['id']}/trials/"
    number = call.options.number
    if number is None:
        number = _newest(call, trials, experiment)
    path = f"{trials}{number}/"
    if call.options.json:
        text = b"".join(_pieces(call, path, follow=False)).decode(errors="replace")
        names = call.client.get(path + "logs/")
        return call.tell({"trial": number, "logs": names, "text": text}, str)
    if call.options.number is None:
        call.note(f"trial {number}")
    _print(_pieces(call, path, follow=call.options.follow))
    return 0


def _newest(call: Call, trials: str, experiment: dict[str, Any]) -> int:
    found = call.client.pages(trials, 1, order="-started_at")[0]
    if not found or found[0]["started_at"] is None:
        name = screen.clean(experiment["name"])
        words = _("No trial of {name} ({id}) has started yet.")
        raise Trouble(NOT_FOUND, words.format(name=name, id=experiment["id"]))
    return int(found[0]["number"])


def _pieces(call: Call, path: str, *, follow: bool) -> Iterator[bytes]:
    """The log, as it grows where it is followed."""
    offset = 0
    query = {"log": call.options.log} if call.options.log else {}
    while True:
        # Asked before the log is read: what a trial printed last is there once it has ended.
        is_over = not follow or call.client.get(path)["state"] in FINISHED
        while True:
            answer = call.client.ask(
                "GET", path + "log/", {**query, "offset": offset, "limit": PIECE}
            )
            if not answer.body:
                break
            offset = int(answer.headers["x-log-next"])
            yield answer.body
        if is_over:
            return
        time.sleep(EVERY_S)


def _print(pieces: Iterator[bytes]) -> None:
    """To a pipe as it is; on a terminal only colours and progress bars go through."""
    if not sys.stdout.isatty():
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    held = ""
    for piece in pieces:
        text = held + decode(piece)
        # An escape sequence may be cut by the end of a piece.
        cut = text.rfind("\x1b", max(0, len(text) - 32))
        held = text[cut:] if cut >= 0 and "m" not in text[cut:] else ""
        _show(text[: len(text) - len(held)])
    _show(held + "\x1b[0m")


def _show(text: str) -> None:
    sys.stdout.write(screen.clean_log(text))
    sys.stdout.flush()


COMMANDS = {"logs": Command(logs, _arguments)}
