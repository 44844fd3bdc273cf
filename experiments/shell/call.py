"""One call of a command: what was given, whom to ask, and how its answer is told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from experiments import places
from experiments.shell import finding, screen
from experiments.shell.language import gettext as _
from experiments.shell.server import Client, WithoutServer


@dataclass(frozen=True)
class Call:
    client: Client
    options: argparse.Namespace
    console: Console  # of standard output
    without_server: WithoutServer

    def experiment(self) -> dict[str, Any]:
        return finding.experiment(self.client, self.options.id)

    def tell(self, data: Any, words: Callable[[], Text | str]) -> int:
        """Print ``data`` with --json, else ``words``; the exit code 0."""
        if self.options.json:
            sys.stdout.write(screen.as_json(data) + "\n")
        else:
            self.say(words())
        return 0

    def say(self, words: Text | str) -> None:
        self.console.print(words, soft_wrap=True)

    def note(self, words: str) -> None:
        """A remark beside the answer, for people: never on standard output."""
        sys.stderr.write(screen.clean_text(words) + "\n")

    def note_when(self) -> None:
        """Where no server runs, say when what was asked for will be done."""
        if not self.client.door.is_server:
            words = _("No server runs: it will be done once {command} does.")
            self.note(words.format(command=f"{places.COMMAND} up"))


@dataclass(frozen=True)
class Command:
    """What it takes beside the options of all commands, and what it does, with its exit code."""

    go: Callable[[Call], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def takes_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an id, the beginning of one, or a name")
