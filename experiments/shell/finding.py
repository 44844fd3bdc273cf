"""Which experiment, and which of its trials, a word of the command line means."""

from __future__ import annotations

import re
from typing import Any

from experiments.shell import screen
from experiments.shell.language import gettext as _
from experiments.shell.server import Client
from experiments.shell.trouble import BAD_INPUT, NOT_FOUND, Trouble

_ID = re.compile("[a-z0-9]{1,8}")
MOST_NAMED = 10  # of several that a word fits


def experiment(client: Client, word: str) -> dict[str, Any]:
    """The one experiment with this id, this name, or an id that begins so; in that order.

    Raises Trouble: with the exit code for nothing found, or for several, all named.
    """
    if not word.strip():
        raise Trouble(BAD_INPUT, _("ID must be an experiment's id or name, but is empty."))
    if _ID.fullmatch(word):
        try:
            return dict(client.get(f"experiments/{word}/"))
        except Trouble as trouble:
            if trouble.code != NOT_FOUND:
                raise
    found = client.pages("experiments/", 0, search=word[:200])[0]
    named = [each for each in found if each["name"] == word]
    fitting = named or [each for each in found if each["id"].startswith(word)]
    if not fitting:
        words = _("No experiment has the id or the name '{word}'.")
        raise Trouble(NOT_FOUND, words.format(word=screen.clean(word)))
    if len(fitting) > 1:
        lines = [f"  {each['id']}  {screen.clean(each['name'])}" for each in fitting[:MOST_NAMED]]
        if len(fitting) > MOST_NAMED:
            lines.append("  " + _("and {n} others").format(n=len(fitting) - MOST_NAMED))
        words = _("'{word}' fits {n} experiments; name one by its id:")
        raise Trouble(BAD_INPUT, words.format(word=screen.clean(word), n=len(fitting)), *lines)
    return fitting[0]


def number(word: str) -> int:
    """A trial's number, for argparse; its message names what came."""
    if not re.fullmatch("[0-9]{1,9}", word):
        raise ValueError(word)
    return int(word)
