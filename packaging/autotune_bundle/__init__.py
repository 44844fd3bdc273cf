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

HELP = """\
autotune up                   serve everything on this machine
autotune run FILE.yaml        run one experiment to its end
autotune validate FILE.yaml   check a manifest
autotune convert FILE...      make manifests of files of NNI, Katib, W&B and Optuna
autotune manage ...           any Django command
autotune --version
"""


def main() -> None:
    """The ``autotune`` command; ``python -m autotune_bundle`` is the same."""
    words = sys.argv[1:]
    if words in ([], ["help"], ["-h"], ["--help"]):
        sys.stdout.write(HELP)
        return
    if words == ["--version"]:
        sys.stdout.write(f"autotune {version('autotune-web')}\n")
        return
    if words[0] == "manage":
        words = words[1:]
    # In place of the directory of the script, which may hold anything.
    sys.path[0] = str(FILES)
    sys.argv = ["autotune", *words]
    import manage  # of FILES

    manage.main()
