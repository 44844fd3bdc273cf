#!/usr/bin/env python
"""Django's command line for AutoTune Web; `./autotune` runs it in the project's environment."""

import os
import sys


def data_directory(argv: list[str]) -> str | None:
    """Value of ``--data``: settings are read before a command parses its arguments."""
    for position, word in enumerate(argv):
        if word == "--data" and position + 1 < len(argv):
            return argv[position + 1]
        if word.startswith("--data="):
            return word.removeprefix("--data=")
    return None


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    directory = data_directory(sys.argv[2:])
    if directory:
        os.environ["AUTOTUNE_DATA"] = directory
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
