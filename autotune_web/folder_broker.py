"""Celery's broker in a folder: kombu's filesystem transport, made safe for several processes.

kombu's own writes a message in place, so a reader can take it half-written (seen here: the worker
died of an empty message), and moves it through the system's temporary folder. Here a message and
the table of queues appear whole, by rename, and a message is claimed by a rename in its own folder.
Used by the embedded product only; ``autotune_web.celery`` registers it as ``folder://``.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads


def _write_whole(path: Path, content: str) -> None:
    """Make ``path`` hold ``content``; nobody ever sees a part of it."""
    draft = path.with_name(f".{uuid.uuid4().hex}.draft")
    draft.write_text(content, encoding="utf-8")
    draft.replace(path)


# kombu remembers a binding for the whole process before the table of queues holds it.
_binding = threading.Lock()


class Channel(filesystem.Channel):
    def queue_bind(self, *args: Any, **kwargs: Any) -> None:
        """Bind a queue; whoever finds it bound may publish at once, and no message is lost."""
        with _binding:
            super().queue_bind(*args, **kwargs)

    def get_table(self, exchange: str) -> list[Any]:
        """Queues bound to an exchange; none while nobody has bound one."""
        try:
            rows = loads(self._table_file(exchange).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _table_file(self, exchange: str) -> Path:
        path: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]  # not in the stubs
        return path

    def _queue_bind(
        self, exchange: str, routing_key: str | None, pattern: str | None, queue: str
    ) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        rows = self.get_table(exchange)
        if row in rows:
            return
        self.control_folder.mkdir(exist_ok=True)
        _write_whole(self._table_file(exchange), dumps([row, *rows]))

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time_ns():020}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in self._messages(queue):
            claimed = Path(self.data_folder_in) / f".{name}.claimed"
            try:
                (Path(self.data_folder_in) / name).rename(claimed)
            except FileNotFoundError:
                continue  # another worker was quicker
            content = claimed.read_bytes()
            claimed.unlink()
            return loads(bytes_to_str(content))
        raise Empty

    def _size(self, queue: str) -> int:
        return sum(1 for _ in self._messages(queue))

    def _purge(self, queue: str) -> int:
        n_removed = 0
        for name in self._messages(queue):
            (Path(self.data_folder_in) / name).unlink(missing_ok=True)
            n_removed += 1
        return n_removed

    def _messages(self, queue: str) -> Iterable[str]:
        """Names of the queue's messages, oldest first."""
        ending = f".{queue}.msg"
        names = os.listdir(self.data_folder_in)
        return sorted(name for name in names if name[0] != "." and name.endswith(ending))


class Transport(filesystem.Transport):
    Channel = Channel
