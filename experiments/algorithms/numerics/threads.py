"""Keeps linear algebra to one thread.

The matrices here are small, and a server proposes for several experiments at once: on busy cores
the threads of a BLAS library wait for each other many times longer than the work takes. Used by the
tuners that model with matrices.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from scipy import linalg  # noqa: F401 - its library must be loaded to be found
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _controller() -> Any:
    return ThreadpoolController()  # looks through all loaded libraries: once is enough


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS libraries use one thread."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limited
