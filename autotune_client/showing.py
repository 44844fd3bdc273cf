"""What a person sees while trials run: a line at a terminal, a live picture in a notebook.

Called by ``tune``. IPython is used where a notebook runs it, and never loaded otherwise.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from autotune_client import page
from autotune_client.study import Study

__all__ = ["shown"]

EVERY_S = 2.0


@contextmanager
def shown(study: Study, *, quiet: bool) -> Iterator[None]:
    """Show how the study stands while what is inside runs, and once behind it."""
    handle = None if quiet else _notebook_display(study)
    if handle is None:
        _say(study, quiet)
        yield
        return
    over = threading.Event()

    def update() -> None:
        while not over.wait(EVERY_S):
            with suppress(Exception):  # a picture must not end a search
                handle.update(_Html(page.of_experiment(study.experiment)))

    thread = threading.Thread(target=update, name="notebook", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(Exception):
            handle.update(_Html(page.of_experiment(study.experiment)))


class _Html:
    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "<a study>"


def _notebook_display(study: Study) -> Any | None:
    """A display of the running notebook, with the study's first picture; None where none runs."""
    if "IPython" not in sys.modules:
        return None
    shell = import_module("IPython").get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None  # a terminal
    display = import_module("IPython.display").display
    return display(_Html(page.of_experiment(study.experiment)), display_id=True)


def _say(study: Study, quiet: bool) -> None:
    if not quiet and sys.stderr is not None:
        info = study.experiment.info
        sys.stderr.write(f"Study {info.name} ({info.id}): {study.experiment.url}\n")
        sys.stderr.flush()
