"""The shell's commands that speak REST: ``autotune ls`` and the others of ``COMMANDS``.

Called by ``manage.py`` before it loads Django, so that they start as quickly as Python does: this
folder stands on the standard library and rich alone. ``up``, ``run``, ``validate`` and the roles
are Django's commands.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from experiments import places
from experiments.problems import nearest
from experiments.shell import screen, server, words
from experiments.shell.call import Call, Command
from experiments.shell.trouble import BAD_INPUT, INTERRUPTED, Trouble

# Each command and its module, which is loaded only where it is called.
COMMANDS = {
    "ls": "looking", "show": "looking", "trials": "looking", "best": "looking",
    "export": "taking", "open": "taking", "logs": "logs", "top": "top",
    "suspend": "changing", "resume": "changing", "finish": "changing", "set": "changing",
    "stop": "changing", "retry": "changing", "rm": "changing",
    "completion": "completion", "complete-words": "completion",
}  # fmt: skip


def run(given: Sequence[str], without_server: server.WithoutServer) -> int:
    """Do the command; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # of no terminal
    word, *rest = given
    try:
        command = _command(word)
        options = parser_of(word, command).parse_args(rest)
        client = server.Client(lambda: _door(options, without_server))
        return command.go(Call(client, options, screen.console(), without_server))
    except Trouble as trouble:
        first, *others = trouble.lines
        sys.stderr.write(f"{screen.clean(first)}\n")
        for line in others:
            sys.stderr.write(f"{screen.clean(line)}\n")
        return trouble.code
    except KeyboardInterrupt:
        return INTERRUPTED


def _command(word: str) -> Command:
    module = import_module(f"experiments.shell.{COMMANDS[word]}")
    found: Command = module.COMMANDS[word]
    return found


def parser_of(word: str, command: Command) -> argparse.ArgumentParser:
    """What the command takes; every one takes where to ask, and --json."""
    summary = words.summaries().get(word, "")
    parser = argparse.ArgumentParser(
        prog=f"{places.COMMAND} {word}", description=f"{summary[:1].upper()}{summary[1:]}."
    )
    command.arguments(parser)
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.add_argument("--data", metavar="DIR", help="data directory (AUTOTUNE_DATA)")
    parser.add_argument("--url", help="of another server (AUTOTUNE_URL)")
    parser.add_argument("--token", help="for --url; better in AUTOTUNE_TOKEN, where ps is blind")
    return parser


def _door(options: argparse.Namespace, without_server: server.WithoutServer) -> server.Door:
    """Whom to ask: what an option names goes before what the environment does."""
    if options.data:
        os.environ["AUTOTUNE_DATA"] = options.data
    named = server.named(options.url, options.token, or_environment=not options.data)
    if named is not None:
        return named
    found = server.of_directory(places.data_directory())
    return found or server.Inside(without_server.answerer())


def unknown(word: str, write: Callable[[str], object]) -> int:
    """Say that there is no such command, and which there are."""
    meant = nearest(word, words.summaries())
    hint = f" Did you mean '{meant}'?" if meant else ""
    write(f"Unknown command '{screen.clean(word)}'.{hint}\n\n{words.help_text()}")
    return BAD_INPUT
