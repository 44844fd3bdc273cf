#!/usr/bin/env python
"""Django's command line for AutoTune Web; `./autotune` runs it in the project's environment."""

import os
import signal
import sys


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


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
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
        execute_from_command_line([*sys.argv[:2], *words])
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if error.name not in ("kopf", "kubernetes"):
            raise
        sys.exit(
            f"This command needs the package {error.name}: pip install 'autotune-web[kubernetes]'"
        )
    except BrokenPipeError:  # whoever read our words has gone, as in `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for Python's own last flush
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
