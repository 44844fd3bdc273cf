"""AutoTune Web as ``pip install autotune-web`` puts it into somebody's environment.

The product lies in ``files``, closed off: its top-level packages (``experiments`` and the others)
would get in the way of a user's own. Only the processes of ``autotune`` have that folder on their
path, in front; a trial, and any other program of the environment, sees this package alone.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

FILES = Path(__file__).resolve().parent / "files"


def main() -> None:
    """The ``autotune`` command; ``python -m autotune_bundle`` is the same."""
    words = sys.argv[1:]
    if words == ["--version"]:
        sys.stdout.write(f"autotune {version('autotune-web')}\n")
        return
    # In place of the directory of the script, which may hold anything.
    sys.path[0] = str(FILES)
    from experiments.shell import main as shell  # of FILES
    from experiments.shell.words import help_text, summaries

    if words in ([], ["help"], ["-h"], ["--help"]):
        sys.stdout.write(help_text())
        return
    if words[0] == "manage":
        words = words[1:]
    elif words[0] not in {*summaries(), *shell.COMMANDS}:
        sys.exit(shell.unknown(words[0], sys.stderr.write))
    sys.argv = ["autotune", *words]
    import manage  # of FILES

    manage.main()
