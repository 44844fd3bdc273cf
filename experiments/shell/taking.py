"""``export`` and ``open``: an experiment as a file, and its page."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from experiments import places
from experiments.shell import screen
from experiments.shell.call import Call, Command, takes_id
from experiments.shell.language import gettext as _
from experiments.shell.trouble import BAD_INPUT, Trouble

FORMATS = ("json", "csv", "yaml", "html")


def _takes_format(parser: argparse.ArgumentParser) -> None:
    takes_id(parser)
    parser.add_argument("--format", choices=FORMATS, help="by default json")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there; - is stdout")


def export(call: Call) -> int:
    wanted = call.options.format or "json"
    if call.options.json and wanted != "json":
        words = _("--json and --format {wanted} cannot both be had.")
        raise Trouble(BAD_INPUT, words.format(wanted=wanted))
    experiment = call.experiment()
    path = f"experiments/{experiment['id']}/export/"
    content = call.client.ask("GET", path, {"format": wanted}).body
    file = call.options.output
    if file and file != "-":
        _write(Path(file), content)
        call.note(f"{file}: {len(content)} bytes")
    elif sys.stdout.isatty():
        sys.stdout.write(screen.clean_text(content.decode(errors="replace")) + "\n")
    else:
        sys.stdout.buffer.write(content)
    return 0


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)  # of one that was killed
        with draft.open("xb") as file:  # in a folder of everybody's, nobody else chose where to
            file.write(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        words = _("{path} cannot be written: {reason}.")
        raise Trouble(BAD_INPUT, words.format(path=path, reason=error.strerror)) from None


def open_(call: Call) -> int:
    """Print the address of its page, and show it where there is a screen.

    Of the server of one's own data directory it is a link that signs in, once.
    """
    experiment = call.experiment()
    door = call.client.door
    if not door.is_server:
        words = _("No server runs: start {command} up, which serves the pages.")
        raise Trouble(BAD_INPUT, words.format(command=places.COMMAND))
    page = f"/experiments/{experiment['id']}/"
    if call.options.json or not door.is_own:
        url = door.url + page
    else:
        url = call.without_server.sign_in_link(door.url, page)
    call.tell({"url": url}, lambda: url)
    if not call.options.json and _has_screen():
        webbrowser.open(url)
    return 0


def _has_screen() -> bool:
    """Whether a browser would be seen; a text browser would take the terminal."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform == "darwin" or any(os.environ.get(name) for name in names)


COMMANDS = {
    "export": Command(export, _takes_format),
    "open": Command(open_, takes_id),
}
