#!/usr/bin/env python
"""Django's command line for AutoTune Web; `./autotune` runs it in the project's environment."""

import os
import signal
import sys


def take_data_directory(argv: list[str]) -> str | None:
    """Take ``--data DIR`` out of the words, for every command: settings are read before it parses.

    Without a value it stays, for the command's own parser to complain about.
    """
    for position, word in enumerate(argv):
        if word == "--data" and position + 1 < len(argv):
            directory = argv[position + 1]
            del argv[position : position + 2]
            return directory
        if word.startswith("--data=") and word != "--data=":
            del argv[position]
            return word.removeprefix("--data=")
    return None


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    words = sys.argv[2:]
    directory = take_data_directory(words)
    if directory:
        os.environ["AUTOTUNE_DATA"] = directory
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
    except BrokenPipeError:  # whoever read our words has gone, as in `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for Python's own last flush
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
