#!/usr/bin/env python
"""Django's command line for AutoTune Web; `./autotune` runs it in the project's environment."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
