"""The one door by which news leaves: a hint to whoever watches an experiment.

A hint carries no state ("read again after your cursor"), so a lost or doubled one is harmless, and
watchers in other processes need no broker: they look every 250 ms anyway. With one they are told at
once (``live.relay``). ``models`` call this in the transaction that made the news; the hint leaves
once it is committed.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

# The hub of a web process, which wakes its subscriptions, and the relay to other processes.
_listeners: list[Callable[[str], None]] = []


def listen(callback: Callable[[str], None]) -> None:
    """Call ``callback(experiment_id)`` for each hint of this process; it must not block."""
    if callback not in _listeners:
        _listeners.append(callback)


def unlisten(callback: Callable[[str], None]) -> None:
    if callback in _listeners:
        _listeners.remove(callback)


def hint(experiment_id: str) -> None:
    """Tell this process's listeners that the experiment has news."""
    for callback in tuple(_listeners):
        callback(experiment_id)


def hint_on_commit(experiment_id: str) -> None:
    transaction.on_commit(lambda: hint(experiment_id))
