#!/usr/bin/env python
"""The command line of AutoTune Web; `./autotune` runs it in the project's environment.

The shell's own commands (`experiments.shell`) speak REST and leave Django alone, which takes longer
to load than they take; everything else is a Django command.
"""

import os
import signal
import sys
from collections.abc import Callable

from experiments.shell import main as shell
from experiments.shell.server import Ask, WithoutServer
from experiments.shell.trouble import BAD_INPUT, Trouble


def take_option(argv: list[str], option: str) -> str | None:
    """Take ``--data DIR`` or the like out of the words: settings are read before a command parses.

    Without a value it stays, for the command's own parser to complain about.
    """
    for position, word in enumerate(argv):
        if word == option and position + 1 < len(argv):
            value = argv[position + 1]
            del argv[position : position + 2]
            return value
        if word.startswith(f"{option}=") and word != f"{option}=":
            del argv[position]
            return word.removeprefix(f"{option}=")
    return None


def answer_inside() -> Ask:
    """Django in this process, for a command of the shell where no server runs.

    Raises Trouble where the data directory holds nothing that could be read.
    """
    from experiments import places
    from experiments.shell.server import nothing_in

    directory = places.data_directory()
    if not directory.is_dir():  # the settings would make it
        raise nothing_in(directory)
    set_up()
    from experiments.rest import inside

    try:
        inside.require_database()
    except inside.NotUsable as error:
        raise Trouble(BAD_INPUT, str(error)) from None
    return inside.ask


def sign_in_link(base_url: str, path: str) -> str:
    set_up()
    from experiments.rest import inside

    return inside.sign_in_link(base_url, path)


def set_up() -> None:
    import logging

    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise Trouble(BAD_INPUT, f"AutoTune Web cannot start: {error}") from None
    logging.getLogger().setLevel(logging.ERROR)


def quietly(command: Callable[[], int | None]) -> int:
    """Do it; end without a word where whoever read ours has gone, as in ``| head -1``."""
    try:
        code = command()
        sys.stdout.flush()
        return code or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for Python's own last flush
        sys.exit(128 + signal.SIGPIPE)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    if sys.argv[1:2] and sys.argv[1] in shell.COMMANDS:
        without_server = WithoutServer(answer_inside, sign_in_link)
        sys.exit(quietly(lambda: shell.run(sys.argv[1:], without_server)))
    words = sys.argv[2:]
    if directory := take_option(words, "--data"):
        os.environ["AUTOTUNE_DATA"] = directory
    runs_trials = sys.argv[1:2] in (["up"], ["run"], ["validate"])
    if runs_trials and (python := take_option(words, "--python")):
        os.environ["AUTOTUNE_TRIAL_PYTHON"] = python
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings.DATA_DIR  # noqa: B018 (reads them now)
    except ImproperlyConfigured as error:
        sys.exit(f"AutoTune Web cannot start: {error}")
    try:
        quietly(lambda: execute_from_command_line([*sys.argv[:2], *words]))
    except ModuleNotFoundError as error:
        if error.name not in ("kopf", "kubernetes"):
            raise
        sys.exit(
            f"This command needs the package {error.name}: pip install 'autotune-web[kubernetes]'"
        )


if __name__ == "__main__":
    main()
