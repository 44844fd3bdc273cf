"""Who is behind what is being recorded: said by REST, written into every Event by ``models``.

REST says ``with acting_as(name):`` around each request; the loop, acting on its own, says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Tells who asked for what is being done; "" while the loop acts on its own.
_actor: ContextVar[Callable[[], str]] = ContextVar("autotune_actor", default=lambda: "")


@contextmanager
def acting_as(name: Callable[[], str]) -> Iterator[None]:
    """Everything recorded inside is the doing of whom ``name()`` names, asked only then."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Name of the person behind what is being recorded, or ""."""
    return _actor.get()()
